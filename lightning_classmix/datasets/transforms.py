"""Image and label transforms; the only file that imports albumentations."""

import copy
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
) -> A.Compose:
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
        An albumentations pipeline for ``image`` and ``mask``, without normalization.
    """
    steps: list[A.BasicTransform] = [A.HorizontalFlip(p=0.5)] if flip else []
    if crop is not None:
        height, width = crop
        gray = tuple(255 * channel for channel in mean)
        steps += [
            A.RandomScale(scale_limit=(scale[0] - 1, scale[1] - 1), p=1.0),
            _Pad(height, width, position="random", fill=gray, fill_mask=VOID),
            A.RandomCrop(height, width),
        ]
    if jitter:
        strength = (max(0.0, 1 - jitter), 1 + jitter)
        hue = (-jitter / 5, jitter / 5)
        steps.append(A.ColorJitter(strength, strength, strength, hue, p=0.8))
    return A.Compose(steps)


class _Pad(A.PadIfNeeded):  # type: ignore[misc]
    """Padding by a ``fill`` in [0, 255] for any type and number of channels."""

    def apply(
        self,
        img: NDArray[Any],
        pad_top: int,
        pad_bottom: int,
        pad_left: int,
        pad_right: int,
        **params: Any,
    ) -> NDArray[Any]:
        """Pad an image."""
        if img.dtype == np.uint8 and img.shape[2] <= 4:
            padded: NDArray[Any] = super().apply(
                img, pad_top, pad_bottom, pad_left, pad_right, **params
            )
            return padded
        fill = np.array(self.fill) / (1 if img.dtype == np.uint8 else 255)
        height, width, channels = img.shape
        shape = (height + pad_top + pad_bottom, width + pad_left + pad_right, channels)
        result = np.empty(shape, img.dtype)
        result[:] = fill.round() if img.dtype == np.uint8 else fill
        result[pad_top : pad_top + height, pad_left : pad_left + width] = img
        return result


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
        pipeline: Pipeline | None = None,
        *,
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        value_range: tuple[float, float] | None = None,
        mark_padding: bool = True,
    ) -> None:
        resize = size and A.Resize(*size, area_for_downscale="image")
        steps: list[Pipeline] = [step for step in (resize, pipeline) if step]
        self._pipeline = A.Compose(
            steps, additional_targets={"label": "mask", "inside": "mask"}
        )
        self._normalize = A.Normalize(tuple(mean), tuple(std))
        self._normalize_unit = A.Normalize(tuple(mean), tuple(std), max_pixel_value=1)
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
        self._pipeline.set_random_seed(seed % 2**32)
        pixels = to_unit_range(image, self._value_range)
        targets: dict[str, Any] = {
            "image": pixels,
            "inside": np.full(image.shape[:2], _INSIDE, np.uint8),
        }
        if label is not None:
            targets["label"] = label
        with warnings.catch_warnings():
            # Image sizes may differ between calls.
            warnings.filterwarnings("ignore", category=UserWarning, module="albu")
            out = self._pipeline(**targets)
        result = out["image"]
        if not isinstance(result, np.ndarray) or result.dtype != pixels.dtype:
            raise ValueError(
                f"transform must yield {pixels.dtype} images, got"
                f" {type(result).__name__} of {result.dtype}; leave out Normalize and"
                " ToTensorV2, mean and std replace them"
            )
        normalize = self._normalize
        if pixels.dtype == np.float32:
            normalize, result = self._normalize_unit, result.clip(0, 1)
        normal = normalize(image=np.ascontiguousarray(result))["image"]
        valid = torch.from_numpy(out["inside"] == _INSIDE)
        planes = np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)
        sample = {"image": torch.from_numpy(planes), "valid": valid}
        if label is not None:
            classes = torch.from_numpy(out["label"].astype(np.int64))
            sample["label"] = classes.where(valid, VOID)
        if not self._mark_padding:
            sample["valid"] = torch.ones_like(valid)
        return sample
