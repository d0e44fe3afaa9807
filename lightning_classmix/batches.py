"""Check training batches against the batch contract, before the first step."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_classmix import ops


def labeled_part(batch: Any) -> Any:
    """Return the labeled part of a semi-supervised batch, else the batch itself."""
    return batch.get("labeled", batch) if isinstance(batch, dict) else batch


def valid_pixels(unlabeled: dict[str, Tensor]) -> Tensor:
    """Return ``valid``, bool ``(B, H, W)``; all True if the batch has no such key."""
    image = unlabeled["image"]
    all_valid = torch.ones_like(image[:, 0], dtype=torch.bool)
    return unlabeled.get("valid", all_valid)


def check_labeled(batch: Any, *, num_classes: int, in_channels: int) -> None:
    """Check the labeled part of a batch.

    Args:
        batch: Labeled part, expected to be ``{"image", "label"}``.
        num_classes: Number of classes, C.
        in_channels: Number of image channels.

    Raises:
        ValueError: If keys, shapes, dtypes or label values are wrong.
    """
    if not isinstance(batch, dict) or not {"image", "label"} <= batch.keys():
        raise ValueError(
            "a labeled batch must be a dict with 'image' and 'label', got"
            f" {sorted(batch) if isinstance(batch, dict) else type(batch).__name__}"
        )
    image = batch["image"]
    label = batch["label"]
    if image.ndim != 4 or image.shape[1] != in_channels:
        raise ValueError(
            f"image must have shape (B, {in_channels}, H, W), got"
            f" {tuple(image.shape)} in the first labeled batch"
        )
    if label.shape != (len(image), *image.shape[2:]):
        raise ValueError(
            f"label must have the size of its image, got {tuple(label.shape)} for"
            f" {tuple(image.shape)} in the first labeled batch"
        )
    if not image.is_floating_point():
        raise ValueError(f"image must be float, got {image.dtype}; normalize it first")
    check_label(label, num_classes, "the first labeled batch")


def check_label(label: Tensor, num_classes: int, source: str) -> None:
    """Check that a label holds classes and void only.

    Args:
        label: Class per pixel, expected to be int64 in [0, C) or 255.
        num_classes: Number of classes, C.
        source: Description of the batch, for the error message.

    Raises:
        ValueError: If dtype or values are wrong.
    """
    if label.dtype != torch.int64:
        raise ValueError(f"label must be int64, got {label.dtype} in {source}")
    wrong = label != ops.void_invalid_labels(label, num_classes)
    if wrong.any():
        values = torch.unique(label[wrong]).tolist()
        raise ValueError(
            f"label must be in [0, {num_classes}) or {ops.VOID} (void), got"
            f" {values[:10]} in {source}"
        )


def check_unlabeled(batch: Any, *, in_channels: int) -> None:
    """Check that a batch has unlabeled images that can be mixed.

    Args:
        batch: Whole batch, expected to be ``{"labeled", "unlabeled"}``.
        in_channels: Number of image channels.

    Raises:
        ValueError: If keys, shapes or dtypes are wrong, or there is a single image.
    """
    if not isinstance(batch, dict) or not {"labeled", "unlabeled"} <= batch.keys():
        raise ValueError(
            "a batch must be a dict with 'labeled' and 'unlabeled', got"
            f" {sorted(batch) if isinstance(batch, dict) else type(batch).__name__};"
            " use Supervised for no unlabeled images"
        )
    image = batch["unlabeled"]["image"]
    valid = valid_pixels(batch["unlabeled"])
    if image.ndim != 4 or image.shape[1] != in_channels:
        raise ValueError(
            f"image must have shape (B, {in_channels}, H, W), got"
            f" {tuple(image.shape)} in the first unlabeled batch"
        )
    if valid.shape != (len(image), *image.shape[2:]) or valid.dtype != torch.bool:
        raise ValueError(
            f"valid must be bool and have the size of its image, got {valid.dtype}"
            f" {tuple(valid.shape)} for {tuple(image.shape)}"
        )
    if len(image) < 2:
        raise ValueError(
            "the unlabeled batch must hold at least 2 images on each device, got"
            f" {len(image)}; each is pasted into another one"
        )


def check_pooled_norm(network: nn.Module, image: Tensor) -> None:
    """Check that a network with batch norm can be trained on a batch of one image.

    Batch norm behind a global pooling, as in DeepLab's head, sees one value per channel
    then, which has no variance.

    Args:
        network: Network to train; a copy of it processes ``image``.
        image: Images of a training batch, float ``(B, C_in, H, W)``.

    Raises:
        ValueError: If the network needs at least two images.
    """
    if len(image) > 1 or not any(isinstance(m, _BatchNorm) for m in network.modules()):
        return
    try:
        with torch.no_grad():
            copy.deepcopy(network)(image)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "the labeled batch must hold at least 2 images, got 1; the network has"
            f" batch norm behind a global pooling: {error}"
        ) from error
