"""The allowed range of every numeric argument, in one table."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple


class Range(NamedTuple):
    """An interval of finite numbers."""

    low: float
    high: float = math.inf
    excluded: tuple[float, ...] = ()
    """Ends of the interval that do not belong to it."""
    reason: str = ""
    """Why, or what to do instead; ends the error message."""

    def holds(self, value: float) -> bool:
        """Return whether a number is in the interval; NaN and infinity never are."""
        inside = self.low <= value <= self.high
        return inside and value not in self.excluded and value < math.inf

    def __str__(self) -> str:
        """Return the interval as error messages name it."""
        if self.high == math.inf:
            bound = "greater than" if self.low in self.excluded else "at least"
            return f"{bound} {self.low:.12g}"
        left = "(" if self.low in self.excluded else "["
        right = ")" if self.high in self.excluded else "]"
        return f"in {left}{self.low:.12g}, {self.high:.12g}{right}"


_POSITIVE = Range(1)
_NOT_NEGATIVE = Range(0)
_SHARE = Range(0, 1)

RANGES = {
    "accumulate_grad_batches": _POSITIVE,
    "area": Range(0, 1, excluded=(0, 1)),
    "aux_weight": _NOT_NEGATIVE,
    "batch_size": _POSITIVE,
    "check_val_every_n_epoch": _POSITIVE,
    "class_weights": _NOT_NEGATIVE,
    "crop": Range(2, reason="a crop of 1 pixel holds 1 class"),
    "decay": Range(0, 1, excluded=(1,)),
    "encoder_layer_decay": Range(0, 1, excluded=(0,)),
    "encoder_lr_factor": _NOT_NEGATIVE,
    "gradient_clip_val": _NOT_NEGATIVE,
    "in_channels": _POSITIVE,
    "jitter": _SHARE,
    "jobs": _POSITIVE,
    "labeled_only_steps": _NOT_NEGATIVE,
    "log_every_n_steps": _NOT_NEGATIVE,
    "lr": _NOT_NEGATIVE,
    "mean": Range(0, 1, reason="divide by the largest value of a pixel, such as 255"),
    "num_classes": Range(2, 255),
    "num_workers": _NOT_NEGATIVE,
    "pad_to": _POSITIVE,
    "ramp_steps": _NOT_NEGATIVE,
    "rates": Range(0, excluded=(0,)),
    "scale": Range(0, excluded=(0,)),
    "seed": Range(0, 2**32 - 1),
    "seeds": Range(0, 2**32 - 1),
    "seed_everything": Range(0, 2**32 - 1),
    "share": Range(0, 1, excluded=(0, 1)),
    "sigma": Range(0, excluded=(0,)),
    "size": Range(2, 32767),
    "std": Range(0, 1, excluded=(0,), reason="it is a share of the pixel range"),
    "steps": _POSITIVE,
    "steps_per_epoch": _POSITIVE,
    "threads": _POSITIVE,
    "threshold": _SHARE,
    "unlabeled_batch_size": Range(2, reason="ClassMix pastes each image into another"),
    "unlabeled_weight": _NOT_NEGATIVE,
    "val_batch_size": _POSITIVE,
    "val_check_interval": Range(0, excluded=(0,)),
    "weight_decay": _NOT_NEGATIVE,
    "window": _POSITIVE,
}
"""Range by the name of the argument; each number of a pair must be in it."""


def check_ranges(**values: float | Sequence[float] | None) -> None:
    """Check arguments against `RANGES`; None stands for a default and passes.

    Args:
        values: Arguments by name, numbers or sequences of numbers.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> check_ranges(threshold=0.9, crop=(320, 320), size=None)
        >>> check_ranges(threshold=1.5)
        Traceback (most recent call last):
        ...
        ValueError: threshold must be in [0, 1], got 1.5
    """
    for name, value in values.items():
        if value is None:
            continue
        numbers = value if isinstance(value, Sequence) else [value]
        if not all(RANGES[name].holds(number) for number in numbers):
            shown = tuple(value) if isinstance(value, Sequence) else value
            reason = f"; {RANGES[name].reason}" if RANGES[name].reason else ""
            raise ValueError(f"{name} must be {RANGES[name]}, got {shown}{reason}")


def check_classes(
    num_classes: int,
    class_names: Sequence[str] | None,
    palette: Sequence[Sequence[int]] | None,
) -> None:
    """Check the names and colors of the classes; None stands for a default and passes.

    Args:
        num_classes: Number of classes, C.
        class_names: Names of the classes.
        palette: Colors of the classes, RGB in [0, 255].

    Raises:
        ValueError: If there is not one of each class, a name has characters that a
            terminal cannot show, or a color is out of range.
    """
    if class_names is not None:
        if len(class_names) != num_classes:
            raise ValueError(
                f"class_names must hold {num_classes} names, got {len(class_names)}"
            )
        for name in class_names:
            if not str(name).isprintable():
                raise ValueError(
                    f"class_names must hold printable characters, got {name!r}"
                )
    if palette is not None:
        if len(palette) != num_classes:
            raise ValueError(
                f"palette must hold {num_classes} colors, got {len(palette)}"
            )
        for color in palette:
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise ValueError(
                    "palette must hold colors of 3 values in [0, 255], got"
                    f" {tuple(color)}"
                )


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Check that an argument is one of the allowed names.

    Args:
        name: Name of the argument.
        value: Its value.
        choices: Allowed names.

    Raises:
        ValueError: If ``value`` is not among ``choices``.
    """
    names = list(choices)
    if value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Check that a name is among many known ones.

    Args:
        kind: What the name denotes, for the error message.
        name: The name.
        known: Known names.

    Raises:
        ValueError: If ``name`` is unknown; the message lists up to five similar names.
    """
    names = list(known)
    if name not in names:
        near = get_close_matches(name, names, n=5) or sorted(names)[:5]
        raise ValueError(
            f"{kind} must be known, got {name!r}; did you mean {', '.join(near)}?"
        )


def similar(name: str, names: Iterable[str]) -> str:
    """Return the end of an error message: names similar to ``name``, if any.

    Example:
        >>> similar("clasmix", ["classmix", "none"])
        '; did you mean classmix?'
    """
    found = get_close_matches(name, sorted({*names} - {name}), cutoff=0.5)
    return f"; did you mean {', '.join(found)}?" if found else ""
