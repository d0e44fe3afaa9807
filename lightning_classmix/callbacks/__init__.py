"""Callbacks that update the teacher, check a run or write its results.

They are imported when they are first used, so that `signals` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors read; the same names as _MODULES
    from lightning_classmix.callbacks.ema_teacher import EMATeacher
    from lightning_classmix.callbacks.finite_loss import FiniteLoss
    from lightning_classmix.callbacks.last_checkpoint import LastCheckpoint
    from lightning_classmix.callbacks.pictures import Pictures
    from lightning_classmix.callbacks.prediction_writer import PredictionWriter
    from lightning_classmix.callbacks.pseudo_label_health import PseudoLabelHealth
    from lightning_classmix.callbacks.score_table import ScoreTable
    from lightning_classmix.callbacks.signals import Stopped
    from lightning_classmix.callbacks.stop_on_signal import StopOnSignal
    from lightning_classmix.callbacks.validation_record import ValidationRecord

__all__ = [
    "EMATeacher",
    "FiniteLoss",
    "LastCheckpoint",
    "Pictures",
    "PredictionWriter",
    "PseudoLabelHealth",
    "ScoreTable",
    "StopOnSignal",
    "Stopped",
    "ValidationRecord",
]

_MODULES = {
    "EMATeacher": "ema_teacher",
    "FiniteLoss": "finite_loss",
    "LastCheckpoint": "last_checkpoint",
    "Pictures": "pictures",
    "PredictionWriter": "prediction_writer",
    "PseudoLabelHealth": "pseudo_label_health",
    "ScoreTable": "score_table",
    "StopOnSignal": "stop_on_signal",
    "Stopped": "signals",
    "ValidationRecord": "validation_record",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
