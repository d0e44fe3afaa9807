"""The parts of a ClassMix step: pseudo-labels, mixes, weights, joined forward."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_classmix.ops import PixelWeighting, pixel_weight


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


def build_weighting(name: PixelWeighting, *, threshold: float) -> Weighting:
    """Return the weighting with a given name.

    Args:
        name: As in `ops.pixel_weight`.
        threshold: Smallest confidence that counts as high, in [0, 1].

    Raises:
        ValueError: If the name is unknown.
    """
    weighting = partial(pixel_weight, kind=name, threshold=threshold)
    weighting(torch.empty(2, 1, 1, device="meta"))  # checks the name
    return weighting
