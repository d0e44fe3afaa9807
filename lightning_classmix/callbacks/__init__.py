"""What watches a training, or takes what a trained network says."""

from lightning_classmix.callbacks.last_checkpoint import LastCheckpoint
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from lightning_classmix.callbacks.score_table import ScoreTable

__all__ = ["LastCheckpoint", "PredictionWriter", "ScoreTable"]
