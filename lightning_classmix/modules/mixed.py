"""The parts of a ClassMix step: pseudo-labels, mixes, weights."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_classmix import ops

Weighting: TypeAlias = Callable[..., Tensor]
"""Confidence, float ``(B, H, W)``, and ``valid=``, bool, to weight, ``(B, H, W)``."""


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


def build_weighting(name: ops.PixelWeighting, *, threshold: float) -> Weighting:
    """Return the weighting with a given name.

    Args:
        name: As in `ops.pixel_weight`.
        threshold: Smallest confidence that counts as high, in [0, 1].

    Raises:
        ValueError: If the name is unknown.
    """
    weighting = partial(ops.pixel_weight, kind=name, threshold=threshold)
    weighting(torch.empty(2, 1, 1, device="meta"))  # checks the name
    return weighting


Consistency: TypeAlias = Literal["cross_entropy", "mean_squared_error"]


def consistency_loss(
    kind: Consistency, logits: Tensor, mixed: Mixed, pseudo: PseudoLabel
) -> Tensor:
    """Return the loss between the student and the pseudo-labels, a scalar.

    Args:
        kind: ``cross_entropy`` with the mixed pseudo-labels, or ``mean_squared_error``
            between the class probabilities.
        logits: The student's class scores of the mixed images, float ``(B, C, H, W)``.
        mixed: The mixed images.
        pseudo: The pseudo-labels that were mixed.
    """
    if kind == "cross_entropy":
        return ops.cross_entropy(logits, mixed.target, weight=mixed.weight)
    probabilities = pseudo.logits.softmax(1, dtype=mixed.weight.dtype)
    return ops.mean_squared_error(
        logits,
        ops.mix(probabilities, mixed.mask),
        weight=mixed.weight,
        valid=mixed.target != ops.VOID,
    )
