"""The parts of a ClassMix step: pseudo-labels, mixes, weights."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from lightning_classmix import ops
from lightning_classmix.mixers import Mixer
from lightning_classmix.ops.ranges import check_choice

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


Consistency: TypeAlias = Literal["cross_entropy", "mean_squared_error"]


def check_consistency(consistency: str, paste_labeled: float) -> None:
    """Raise a ValueError if the loss on mixed images is unknown or excluded."""
    check_choice("consistency", consistency, get_args(Consistency))
    if paste_labeled > 0 and consistency != "cross_entropy":
        raise ValueError(
            f"paste_labeled must be 0 with consistency {consistency}, got"
            f" {paste_labeled}; the teacher predicts no probabilities for true labels"
        )


def mix_images(
    image: Tensor,
    pseudo: PseudoLabel,
    labeled: dict[str, Tensor],
    count: int,
    mixer: Mixer,
    weighting: Weighting,
) -> Mixed:
    """Mix unlabeled images, the first of them with labeled images.

    Args:
        image: Unlabeled images, float ``(B, C_in, H, W)``.
        pseudo: Their pseudo-labels.
        labeled: ``image`` and ``label`` of labeled images; of the same size if one is
            pasted.
        count: Number of images into which a labeled image is pasted, at most B.
        mixer: Class map to mask, True where a pixel is pasted into another image.
        weighting: Weight of the pseudo-labels; true labels have weight 1.

    Returns:
        The mixed images, not augmented yet.

    Raises:
        ValueError: If labeled and unlabeled images differ in size.
    """
    parts = (image, pseudo.label, pseudo.confidence)
    mask = mixer(pseudo.label)
    mixed, target, confidence = (ops.mix(part, mask) for part in parts)
    if count == 0:
        weight = weighting(confidence, valid=target != ops.VOID)
        return Mixed(mixed, target, mask, confidence, weight)

    sizes = labeled["image"].shape[1:], image.shape[1:]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "labeled and unlabeled images must have one size for paste_labeled, got"
            f" {tuple(sizes[0][1:])} and {tuple(sizes[1][1:])}; give the data module a"
            " crop, or leave out paste_labeled"
        )
    index = torch.arange(count, device=mask.device) % len(labeled["image"])
    label = labeled["label"][index].to(target.dtype)
    pasted = mixer(label)
    mixed[:count] = labeled["image"][index].where(pasted[:, None], image[:count])
    target[:count] = label.where(pasted, pseudo.label[:count])
    confidence[:count] = pseudo.confidence[:count].masked_fill(pasted, 1)
    true = torch.cat([pasted, torch.zeros_like(mask[count:])])
    mask = torch.cat([~pasted, mask[count:]])
    weight = weighting(confidence, valid=(target != ops.VOID) & ~true)
    return Mixed(mixed, target, mask, confidence, weight.masked_fill(true, 1))


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
