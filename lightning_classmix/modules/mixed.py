"""The parts of a ClassMix step: pseudo-labels, and mixed images with targets."""

from typing import NamedTuple

from torch import Tensor


class PseudoLabel(NamedTuple):
    """The teacher's prediction for unlabeled images."""

    logits: Tensor
    """Class scores, float ``(B, C, H, W)``."""
    confidence: Tensor
    """Largest class probability, float ``(B, H, W)`` in [0, 1]."""
    label: Tensor
    """Most probable class, int64 ``(B, H, W)``; void where the image was padded."""


class Mixed(NamedTuple):
    """Mixed images with what the student is trained to predict for them."""

    image: Tensor
    """Mixed and strongly augmented images, float ``(B, C_in, H, W)``."""
    target: Tensor
    """Mixed pseudo-labels, int64 ``(B, H, W)``."""
    mask: Tensor
    """True where image i keeps its own pixel, bool ``(B, H, W)``."""
    confidence: Tensor
    """Mixed confidence, float ``(B, H, W)`` in [0, 1]."""
    weight: Tensor
    """Factor per pixel on the loss, float ``(B, H, W)``."""
