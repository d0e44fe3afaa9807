"""Check that the datasets of a run hold images of the same kind and range."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import IterableDataset

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.preprocessing import Preprocessing
from lightning_classmix.datasets.samples import split_item

_NAMES = ("labeled", "unlabeled", "val")
_LIMITS = (-0.5, 1.5)  # of the pixels that a normalized image may stand for
_PIXELS = "pixels, which are normalized"


def check_input_ranges(sets: Sequence[Any], preprocessing: Preprocessing) -> None:
    """Check the first image of each dataset; streams and files are not read.

    Warn if float images, which are used unchanged, do not seem to be normalized.

    Args:
        sets: Labeled, unlabeled and validation dataset; None where there is none.
        preprocessing: Normalization of the images.

    Raises:
        ValueError: If the images of two datasets are of different kinds: pixels, or
            float tensors that are normalized, in [0, 1] or in [0, 255].
    """
    kinds: dict[str, str] = {}
    for name, dataset in zip(_NAMES, sets, strict=True):
        if dataset is None or isinstance(dataset, IterableDataset) or not len(dataset):
            continue
        if isinstance(dataset, ImageFiles):
            kinds[name] = _PIXELS
            continue
        with torch.random.fork_rng(devices=[]):
            image, _ = split_item(dataset[0])
        kind = _kind(image)
        if kind is not None:
            kinds[name] = kind
        if isinstance(image, Tensor) and image.is_floating_point():
            _warn_of_range(image, name, preprocessing)
    found = list(kinds.items())
    for name, kind in found[1:]:
        first, expected = found[0]
        if kind != expected:
            raise ValueError(
                f"images of all datasets must be of the same kind, got {expected} in"
                f" {first}, and {kind} in {name}; convert one of them"
            )


def _kind(image: Any) -> str | None:
    """Return a description of the pixels; None if they do not show it."""
    if not (isinstance(image, Tensor) and image.is_floating_point()):
        return _PIXELS
    low, high = float(image.min()), float(image.max())
    if low == high or not np.isfinite(high - low):
        return None
    if low < 0:
        return "normalized float tensors"
    return f"float tensors in [0, {1 if high <= 1 else 255}]"


def _warn_of_range(image: Tensor, name: str, preprocessing: Preprocessing) -> None:
    mean, std = preprocessing.mean, preprocessing.std
    if image.ndim != 3 or len(image) != len(mean):
        return
    pixels = image.float() * torch.tensor(std)[:, None, None]
    pixels = pixels + torch.tensor(mean)[:, None, None]
    low, high = float(pixels.min()), float(pixels.max())
    if low < _LIMITS[0] or high > _LIMITS[1]:
        rank_zero_warn(
            f"float images are used unchanged, but {name} holds values in"
            f" [{image.min():g}, {image.max():g}], which are not normalized by mean and"
            " std: normalize them, or give uint8 images"
        )
