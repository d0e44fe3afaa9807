"""Mask rules by name: functions from a label map to a mask."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lightning_classmix import ops
from lightning_classmix.ops.ranges import check_choice

Mixer: TypeAlias = Callable[[Tensor], Tensor]
"""Class map, int64 ``(B, H, W)``, to mask, bool ``(B, H, W)``."""

MixerName = Literal["classmix", "cutmix", "cowmix", "none"]


def cutmix(label: Tensor) -> Tensor:
    """Return a random box for each image."""
    batch, height, width = label.shape
    return ops.cutmix_mask((batch, height, width), device=label.device)


def cowmix(label: Tensor) -> Tensor:
    """Return random blobs for each image."""
    batch, height, width = label.shape
    return ops.cowmix_mask((batch, height, width), device=label.device)


def keep_all(label: Tensor) -> Tensor:
    """Return a mask of all pixels: images stay unmixed."""
    return torch.ones_like(label, dtype=torch.bool)


def build_mixer(
    name: MixerName,
    num_classes: int,
    *,
    rounding: Literal["floor", "ceil"] = "floor",
    exclude: Sequence[int] = (),
) -> Mixer:
    """Return the mask rule with a given name.

    Args:
        name: ``classmix``, ``cutmix``, ``cowmix``, or ``none`` for no mixing.
        num_classes: Number of classes, C.
        rounding: Rounding of half an odd number of classes; for ``classmix``.
        exclude: Classes that are never drawn; for ``classmix``.

    Raises:
        ValueError: If the name is unknown, or an argument does not suit the rule.

    Example:
        >>> build_mixer("none", num_classes=2)(torch.tensor([[[0, 1]]]))
        tensor([[[True, True]]])
    """
    mixers: dict[str, Mixer] = {
        "classmix": partial(
            ops.classmix_mask,
            num_classes=num_classes,
            rounding=rounding,
            exclude=tuple(exclude),
        ),
        "cutmix": cutmix,
        "cowmix": cowmix,
        "none": keep_all,
    }
    check_choice("mixer", name, mixers)
    if {*range(num_classes)} <= {*exclude}:
        raise ValueError(
            f"exclude must leave at least one of {num_classes} classes, got all of them"
        )
    mixer = mixers[name]
    mixer(torch.empty(2, 1, 1, dtype=torch.int64, device="meta"))  # checks arguments
    return mixer
