"""Map the raw values of label files to classes."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.ops import VOID

COLOR = 1 << 24
"""Bit that tells the raw value of a color, ``COLOR | 0xRRGGBB``, from a number."""

_SHOWN = 10  # values that one error lists
_TABLE = 1 << 16


def color_value(red: int, green: int, blue: int) -> int:
    """Return the raw value that stands for a color."""
    return COLOR | red << 16 | green << 8 | blue


def raw_value(key: int | str) -> int:
    """Return the raw value that is written as a whole number or as ``#rrggbb``.

    Raises:
        ValueError: If ``key`` is neither.

    Example:
        >>> raw_value(7), raw_value("#0000ff") == color_value(0, 0, 255)
        (7, True)
    """
    text = str(key)
    if text.isdecimal() and int(text) < _TABLE:
        return int(text)
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        return COLOR | int(text[1:], 16)
    raise ValueError(
        f"a raw value must be in [0, {_TABLE - 1}] or a color '#rrggbb', got {key!r}"
    )


def gray_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return raw values with the gray colors as numbers; others stay."""
    gray = values & 0xFF
    return np.where(values == (COLOR | gray * 0x010101), gray, values)


class LabelMap:
    """The class of each raw value that may occur in a label file.

    Args:
        classes: Raw value to class, or to 255 for void. If it knows no color, a gray
            one counts as its gray value.
    """

    def __init__(self, classes: Mapping[int, int]) -> None:
        self.known = classes
        if not any(value & COLOR for value in classes):
            grays = {color_value(v, v, v): c for v, c in classes.items() if v < 256}
            classes = {**classes, **grays}
        self._raw = np.array(sorted(classes), np.int64)
        self._classes = np.array([classes[v] for v in sorted(classes)], np.int16)
        self._table = np.full(_TABLE, -1, np.int16)
        numbers = self._raw < _TABLE
        self._table[self._raw[numbers]] = self._classes[numbers]

    def look_up(self, raw: NDArray[np.integer]) -> NDArray[np.int16]:
        """Return the class of each raw value, 255 for void, -1 where there is none."""
        if raw.dtype in (np.uint8, np.uint16):
            classes: NDArray[np.int16] = self._table[raw]
            return classes
        place = np.searchsorted(self._raw, raw).clip(max=len(self._raw) - 1)
        return np.where(self._raw[place] == raw, self._classes[place], -1)

    @property
    def may_hide_a_class(self) -> bool:
        """Whether raw 0 is class 0 and raw 255 void: masks of 0 and 255 look empty."""
        return (self.known.get(0), self.known.get(VOID)) == (0, VOID)

    def __call__(self, raw: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
        """Return the class of each pixel of a label file, uint8 ``(H, W)``.

        Raises:
            ValueError: If a value has none; it names the file, the values and how many
                pixels have them.
        """
        classes = self.look_up(raw)
        if classes.min(initial=0) < 0:
            raise ValueError(self.fault(*count_values(raw), path=path))
        return classes.astype(np.uint8)

    def fault(
        self, values: NDArray[np.int64], counts: NDArray[np.int64], *, path: Path
    ) -> str:
        """Tell which of a file's values have no class, and how many pixels have them.

        Args:
            values: Raw values that occur in the file, int64 ``(V,)``.
            counts: Pixels of each of them, int64 ``(V,)``.
            path: The file.
        """
        wrong = [
            f"{format_value(value)} ({count} pixel{'s' * (count > 1)})"
            for value, count, label in zip(
                values.tolist(), counts.tolist(), self.look_up(values), strict=True
            )
            if label < 0 and count
        ]
        if len(wrong) > _SHOWN:
            wrong = [*wrong[:_SHOWN], f"{len(wrong) - _SHOWN} other values"]
        return (
            f"a label must hold values of {_ranges(self.known)}, got"
            f" {', '.join(wrong)} in {path}; mend the file, or give num_classes,"
            " palette or label_map"
        )


def count_values(
    raw: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the raw values that occur, and how many pixels have each."""
    if raw.dtype.itemsize <= 2:
        counts = np.bincount(raw.ravel())
        values = np.flatnonzero(counts)
        return values, counts[values]
    values, counts = np.unique(raw, return_counts=True)
    return values.astype(np.int64), counts


def format_value(value: int) -> str:
    """Return a raw value as a user writes it.

    Example:
        >>> format_value(7), format_value(color_value(0, 0, 255))
        ('7', '#0000ff')
    """
    return f"#{value - COLOR:06x}" if value & COLOR else str(value)


def _ranges(values: Collection[int]) -> str:
    """Tell whole numbers in words, such as ``0 to 10, 255``, and then colors."""
    numbers = sorted(value for value in values if not value & COLOR)
    starts = [n for n in numbers if n - 1 not in values]
    ends = [n for n in numbers if n + 1 not in values]
    parts = [
        str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)
    ]
    colors = sorted(value for value in values if value & COLOR)
    return ", ".join(parts + [format_value(value) for value in colors])


def check_classes(label_map: Mapping[int, int], num_classes: int) -> None:
    """Raise a ValueError if a raw value stands for no class and not for void."""
    for value, label in label_map.items():
        if not 0 <= label < num_classes and label != VOID:
            raise ValueError(
                f"label_map must lead to classes in [0, {num_classes - 1}] or to 255"
                f" for void, got {label} for {format_value(value)}"
            )
