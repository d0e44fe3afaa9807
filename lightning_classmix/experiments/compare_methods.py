"""The methods that `compare` knows by name: each is a class with its arguments."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.modules.segmentation import SegmentationModule
from lightning_classmix.modules.supervised import Supervised
from lightning_classmix.ops.ranges import RANGES, similar

Rates = Sequence[float] | Mapping[str, float | Sequence[float]]
RATES = (0.001, 0.003, 0.01)
"""Learning rates that are tried for each method."""
BASELINE = "supervised"
"""Name of the method that differences refer to."""


@dataclass(frozen=True)
class Method:
    """A method of a comparison: a module class with the arguments that define it.

    Args:
        class_path: Import path of the module class, a subclass of `Supervised`; the
            name alone for a class that ``lightning_classmix`` exports.
        init_args: Arguments of the class that this method sets. With ``lr`` among
            them, no learning rate is searched.
        decay: Share of the past in the teacher's moving average, in [0, 1); None means
            the default of `EMATeacher`.
    """

    class_path: str = "ClassMix"
    init_args: dict[str, Any] = field(default_factory=dict)
    decay: float | None = None

    def module_class(self) -> type[Supervised]:
        """Import the module class.

        Raises:
            ValueError: If there is no such class, or it is no subclass of `Supervised`.
        """
        module, _, name = self.class_path.rpartition(".")
        try:
            found = getattr(import_module(module or "lightning_classmix"), name)
        except (ImportError, AttributeError):
            found = None
        if not (inspect.isclass(found) and issubclass(found, Supervised)):
            raise ValueError(
                "class_path of a method must be a subclass of Supervised, got"
                f" {self.class_path}"
            )
        return found

    def check(self, name: str, shared: Mapping[str, Any]) -> None:
        """Check the class, the names of the arguments and the decay.

        Args:
            name: Name of the method, for the error message.
            shared: Arguments that all methods of the comparison share.

        Raises:
            ValueError: If the class is unknown, or it has no argument of that name.
        """
        known = {
            parameter
            for parent in self.module_class().__mro__
            if issubclass(parent, SegmentationModule)
            for parameter in inspect.signature(parent).parameters
        }
        for argument in [*self.init_args, *shared]:
            if argument not in known:
                raise ValueError(
                    f"arguments of method {name} must be arguments of"
                    f" {self.class_path}, got {argument}{similar(argument, known)}"
                )
        if self.decay is not None:
            EMATeacher(self.decay)


METHODS = {
    BASELINE: Method("Supervised"),
    # ClassMix with its defaults but for the mask rule and the loss.
    "mean_teacher": Method(
        init_args={"mixer": "none", "consistency": "mean_squared_error"}
    ),
    "pseudo_label": Method(init_args={"mixer": "none"}),
    "cutmix": Method(init_args={"mixer": "cutmix"}),
    "cowmix": Method(init_args={"mixer": "cowmix"}),
    "classmix": Method(),
    # The masks, weights, teacher and schedule of the paper and its authors' code; the
    # network, the optimizer and the augmentation are those of the other methods.
    "classmix_olsson2021": Method(
        init_args={
            "mixer": "classmix",
            "rounding": "floor",
            "weighting": "confident_share",
            "threshold": 0.968,
            "consistency": "cross_entropy",
            "unlabeled_weight": 1.0,
            "labeled_only_steps": 0,
            "ramp_steps": 0,
            "evaluate": "student",
            "teacher_mode": "train",
        },
        decay=0.99,
    ),
}
"""The methods that need no definition, by name."""


def select_methods(
    names: Iterable[str], define: Mapping[str, Mapping[str, Any]]
) -> dict[str, Method]:
    """Return the methods of a comparison, in the given order.

    Args:
        names: Names of the methods.
        define: Fields of further methods by name; they replace a known method.

    Raises:
        ValueError: If a name or a field is unknown, a name is given twice, or there is
            none.

    Example:
        >>> select_methods(["supervised"], {})["supervised"].class_path
        'Supervised'
    """
    known = dict(METHODS)
    fields = Method.__dataclass_fields__
    for name, values in define.items():
        for key in values:
            if key not in fields:
                raise ValueError(
                    f"a method must be defined by {', '.join(fields)}, got {key} for"
                    f" {name}{similar(key, fields)}"
                )
        known[name] = Method(**values)
    listed = list(names)
    for name in listed:
        if name not in known:
            raise ValueError(
                f"methods must be among {', '.join(known)}, got {name!r}"
                f"{similar(name, known)}"
            )
    check_distinct("methods", listed)
    return {name: known[name] for name in listed}


def check_distinct(name: str, values: list[Any]) -> None:
    """Check that a list is not empty and has no value twice.

    Raises:
        ValueError: If it is empty or a value is repeated.
    """
    if not values:
        raise ValueError(f"{name} must have at least 1 value, got none")
    if len({*values}) < len(values):
        listed = ", ".join(map(str, values))
        raise ValueError(f"{name} must be distinct, got {listed}")


def candidate_rates(
    rates: Rates, methods: Mapping[str, Method], shared: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Return the learning rates to try for each method.

    Args:
        rates: Rates for every method, or by method.
        methods: The methods by name.
        shared: Arguments that all methods share; a rate among them is the only one.

    Raises:
        ValueError: If there is no rate, the same one twice, or one that trains nothing.
    """
    by_method = rates if isinstance(rates, Mapping) else dict.fromkeys(methods, rates)
    unknown = sorted({*by_method} - {*methods})
    if unknown:
        raise ValueError(f"rates must be given for methods, got {', '.join(unknown)}")
    candidates = {}
    for name, method in methods.items():
        argument = f"rates of {name}" if isinstance(rates, Mapping) else "rates"
        given: Any = by_method.get(name, RATES)
        if "lr" in method.init_args:
            argument, given = f"lr of {name}", method.init_args["lr"]
        elif "lr" in shared:
            argument, given = "shared.lr", shared["lr"]
        listed = [*given] if isinstance(given, list | tuple) else [given]
        check_distinct(argument, listed)
        for rate in listed:
            if not isinstance(rate, int | float) or not RANGES["rates"].holds(rate):
                raise ValueError(f"{argument} must be {RANGES['rates']}, got {rate}")
        candidates[name] = listed
    return candidates
