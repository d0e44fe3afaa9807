"""The parts of a ClassMix step: pseudo-labels, mixes, weights, joined forward."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_classmix import ops


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


def joined_forward(
    student: Callable[[Tensor], Tensor], labeled: Tensor, mixed: Tensor
) -> tuple[Tensor, Tensor]:
    """Call a network once on labeled and mixed images.

    Args:
        student: Maps float ``(B, C_in, H, W)`` images to float ``(B, C, H, W)`` logits.
        labeled: Labeled images, float ``(B, C_in, H, W)``.
        mixed: Mixed images, float ``(B', C_in, H, W)``, of the same size.

    Returns:
        Logits of the labeled images, and of the mixed images.

    Raises:
        ValueError: If the images differ in size.
    """
    if labeled.shape[1:] != mixed.shape[1:]:
        raise ValueError(
            "labeled and unlabeled images must have one size for joined_forward, got"
            f" {tuple(labeled.shape[2:])} and {tuple(mixed.shape[2:])}; give the data"
            " module a crop, or set joined_forward=False"
        )
    logits = student(torch.cat([labeled, mixed]))
    return logits[: len(labeled)], logits[len(labeled) :]


Weighting: TypeAlias = Callable[..., Tensor]
"""Confidence, float ``(B, H, W)``, and ``valid=``, bool, to weight, ``(B, H, W)``."""


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
