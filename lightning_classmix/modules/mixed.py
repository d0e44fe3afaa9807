"""The parts of a ClassMix step: pseudo-labels, mixes, weights, joined forward."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lightning_classmix import ops
from lightning_classmix.mixers import Mixer
from lightning_classmix.models.running_statistics import kept_running_statistics

RunningStatistics: TypeAlias = Literal["labeled", "all"]
"""Images from which batch norm collects its running statistics."""

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


def check_equal_sizes(labeled: Tensor, unlabeled: Tensor, argument: str) -> None:
    """Check that labeled and unlabeled images, ``(B, C_in, H, W)``, have one size.

    Args:
        labeled: Labeled images.
        unlabeled: Unlabeled images.
        argument: The argument of `ClassMix` that requires it.

    Raises:
        ValueError: If the images differ in channels, height or width.
    """
    if labeled.shape[1:] != unlabeled.shape[1:]:
        raise ValueError(
            f"labeled and unlabeled images must have one size for {argument}, got"
            f" {tuple(labeled.shape[2:])} and {tuple(unlabeled.shape[2:])}; give the"
            f" data module a crop, or leave out {argument}"
        )


def check_combinations(
    joined_forward: bool,
    running_statistics: RunningStatistics,
    aux_weight: float,
    paste_labeled: float,
    consistency: str,
) -> None:
    """Raise a ValueError if arguments of `ClassMix` exclude each other."""
    if joined_forward and aux_weight > 0:
        raise ValueError(
            "joined_forward must be False with aux_weight, got True; auxiliary"
            " heads are trained on labeled images only"
        )
    if joined_forward and running_statistics != "all":
        raise ValueError(
            "joined_forward must be False with running_statistics"
            f" {running_statistics}, got True; batch norm sees labeled and mixed images"
            " as one batch: give running_statistics all"
        )
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

    check_equal_sizes(labeled["image"], image, "paste_labeled")
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


def mixed_forward(
    student: nn.Module, mixed: Tensor, running_statistics: RunningStatistics
) -> Tensor:
    """Return the logits of mixed images, float ``(B, C, H, W)``.

    Args:
        student: Network in train mode.
        mixed: Mixed images, float ``(B, C_in, H, W)``.
        running_statistics: ``labeled`` to keep the statistics of batch norm as they
            are, ``all`` to update them.
    """
    if running_statistics == "all":
        return student(mixed)  # type: ignore[no-any-return]
    with kept_running_statistics(student):
        return student(mixed)  # type: ignore[no-any-return]


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
    check_equal_sizes(labeled, mixed, "joined_forward")
    logits = student(torch.cat([labeled, mixed]))
    return logits[: len(labeled)], logits[len(labeled) :]


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
