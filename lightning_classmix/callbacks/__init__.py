"""Callbacks that update the teacher, check a run or write its results."""

from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.callbacks.finite_loss import FiniteLoss
from lightning_classmix.callbacks.last_checkpoint import LastCheckpoint
from lightning_classmix.callbacks.pictures import Pictures
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from lightning_classmix.callbacks.pseudo_label_health import PseudoLabelHealth
from lightning_classmix.callbacks.score_table import ScoreTable
from lightning_classmix.callbacks.stop_on_signal import StopOnSignal
from lightning_classmix.callbacks.validation_record import ValidationRecord
from lightning_classmix.signals import Stopped

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
