"""Image and label transforms; the only file that imports albumentations."""

import copy
import os
import random
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_classmix.datasets.augmentation import (
    Augmented,
    StandardAugmentation,
    resize,
    resize_image,
)
from lightning_classmix.datasets.normalization import Normalization
from lightning_classmix.datasets.pixel_range import to_unit_range
from lightning_classmix.ops import VOID

# Without this, the import asks the network for a newer release.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

Pipeline: TypeAlias = A.BasicTransform | A.BaseCompose
"""Any albumentations transform, or composition of transforms."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_INSIDE = 254  # marks pixels of the image; padding has other values


def training_pipeline(
    *,
    crop: tuple[int, int] | None = None,
    scale: tuple[float, float] = (0.5, 2.0),
    flip: bool = True,
    jitter: float = 0.0,
    mean: Sequence[float] = IMAGENET_MEAN,
) -> StandardAugmentation:
    """Build the standard augmentation: flip, scale, crop and color jitter.

    Args:
        crop: Height and width of the random crop, padded where the scaled image is
            smaller; None leaves the image at its size.
        scale: Smallest and largest factor on the image's size before the crop, > 0;
            unused without ``crop``.
        flip: Mirror images with probability 0.5.
        jitter: Largest relative change of brightness, contrast and saturation, applied
            to 80 % of the images, in [0, 1]; the hue changes by a fifth of it.
        mean: Color of the padding, per channel in [0, 1].

    Returns:
        The augmentation, without normalization.
    """
    colors = None
    if jitter:
        strength = (max(0.0, 1 - jitter), 1 + jitter)
        hue = (-jitter / 5, jitter / 5)
        colors = A.ColorJitter(strength, strength, strength, hue, p=0.8)
    return StandardAugmentation(crop, scale=scale, flip=flip, fill=mean, colors=colors)


class _PipelineAugmentation:
    """Augment by a pipeline of albumentations; padded pixels become void."""

    def __init__(self, pipeline: Pipeline) -> None:
        targets = {"label": "mask", "inside": "mask"}
        self._pipeline = A.Compose([pipeline], additional_targets=targets)

    def __call__(
        self, image: NDArray[Any], label: NDArray[np.uint8] | None, seed: int
    ) -> Augmented:
        """Augment an image and its label."""
        # set_random_seed would give every step the same draws
        self._pipeline.set_random_state(
            np.random.default_rng(seed), random.Random(seed)
        )
        inside = np.full(image.shape[:2], _INSIDE, np.uint8)
        targets = {"image": image, "inside": inside}
        if label is not None:
            targets["label"] = label
        with warnings.catch_warnings():
            # Image sizes may differ between calls.
            warnings.filterwarnings("ignore", category=UserWarning, module="albu")
            out = self._pipeline(**targets)
        result = out["image"]
        if not isinstance(result, np.ndarray) or result.dtype != image.dtype:
            raise ValueError(
                f"transform must yield {image.dtype} images, got"
                f" {type(result).__name__} of {result.dtype}; leave out Normalize and"
                " ToTensorV2, mean and std replace them"
            )
        valid = out["inside"] == _INSIDE
        classes = None
        if label is not None:
            classes = np.where(valid, out["label"], VOID).astype(np.uint8)
        return Augmented(result, classes, valid)


def load_pipeline(transform: Pipeline | dict[str, Any] | str | None) -> Pipeline | None:
    """Return a pipeline that is given as such, as a dict or as the path of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is a pipeline of another library.
        ValueError: If the dict or the file is not a pipeline.
    """
    if isinstance(transform, str):
        return _read_pipeline(transform)
    if isinstance(transform, dict):
        return _make_pipeline(transform)
    if not isinstance(transform, Pipeline | None):
        kind = type(transform)
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"transform must be a pipeline of albumentations, got {name}")
    return transform


def plain_pipeline(pipeline: Pipeline) -> dict[str, Any] | None:
    """Return a pipeline as plain values; None if it has steps of other packages."""
    try:
        values: dict[str, Any] = copy.deepcopy(A.to_dict(pipeline))
    except (NotImplementedError, ValueError):
        return None
    # Steps of albumentations have bare names, others the names of their modules too.
    own = re.search(r"'__class_fullname__': '[^']*\.", str(values))
    return None if own else values


def _read_pipeline(path: str) -> Pipeline:
    """Read a pipeline that ``albumentations.save`` wrote, as YAML or JSON."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"transform must be a file, got {path}")
    form = "json" if path.endswith(".json") else "yaml"
    try:
        pipeline: Pipeline = A.load(path, data_format=form)
    except Exception as error:  # the constructors of its steps may raise anything
        raise ValueError(
            f"transform must be a file of albumentations.save, got {path}:"
            f" {type(error).__name__} {error}"
        ) from error
    return pipeline


def _make_pipeline(values: dict[str, Any]) -> Pipeline:
    """Return the pipeline of a dict of ``albumentations.to_dict``."""
    try:
        with warnings.catch_warnings():  # to_dict has warned before
            warnings.simplefilter("ignore", UserWarning)
            pipeline: Pipeline = A.from_dict(values)
    except Exception as error:  # the constructors of its steps may raise anything
        raise ValueError(
            f"transform must be a dict of albumentations.to_dict, got {values}"
        ) from error
    return pipeline


class Transform:
    """Resize, augment and normalize one image, with its label, from one seed.

    Args:
        pipeline: An albumentations transform or pipeline; None for no augmentation. It
            gets uint8 images, or float32 images in [0, 1] if the pixels have more than
            8 bits, and must yield the same type. Padded pixels become void, whatever
            its ``fill_mask``.
        size: Height and width to which images are resized first; None keeps the size.
        mean: Channel means, each in [0, 1].
        std: Channel standard deviations, each in (0, 1].
        value_range: Pixel values that become 0 and 1; None for the range of the type.
        mark_padding: Whether padded pixels are not ``valid``; in labels they are void
            in any case.
    """

    def __init__(
        self,
        pipeline: Pipeline | StandardAugmentation | None = None,
        *,
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        value_range: tuple[float, float] | None = None,
        mark_padding: bool = True,
    ) -> None:
        self._size = size
        self._augment: _PipelineAugmentation | StandardAugmentation | None
        if isinstance(pipeline, Pipeline):
            self._augment = _PipelineAugmentation(pipeline)
        else:
            self._augment = pipeline
        self._normalize = Normalization(mean, std)
        self._value_range = value_range
        self._mark_padding = mark_padding

    def __call__(
        self,
        image: NDArray[Any],
        label: NDArray[np.uint8] | None = None,
        *,
        seed: int = 0,
    ) -> dict[str, Tensor]:
        """Transform one image.

        Args:
            image: Pixels, uint8, uint16, or another type with a ``value_range``,
                ``(H, W, C)``.
            label: Class per pixel or 255, uint8 ``(H, W)``.
            seed: Seed of every random choice.

        Returns:
            ``image``, normalized float32 ``(C, H', W')``; ``valid``, bool ``(H', W')``,
            False where the pipeline padded; with a label also ``label``, int64
            ``(H', W')``, 255 where padded.

        Raises:
            ValueError: If the pipeline changes the type of the image, or pixels are out
                of the range of their type.
        """
        pixels = to_unit_range(image, self._value_range)
        if self._size is not None:
            pixels = resize_image(pixels, self._size)
            if label is not None:
                label = resize(label, self._size, cv2.INTER_NEAREST)
        if self._augment is None:
            valid = np.ones(pixels.shape[:2], bool)
        else:
            pixels, label, valid = self._augment(pixels, label, seed % 2**32)
        if not self._mark_padding:
            valid = np.ones_like(valid)
        sample = {"image": self._normalize(pixels), "valid": torch.from_numpy(valid)}
        if label is not None:
            sample["label"] = torch.from_numpy(label.astype(np.int64))
        return sample
