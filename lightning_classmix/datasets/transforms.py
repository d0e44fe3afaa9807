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

from lightning_classmix.ops import VOID

# Without this, the import asks the network for a newer release.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

Pipeline: TypeAlias = A.BasicTransform | A.BaseCompose
"""Any albumentations transform, or composition of transforms."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_INSIDE = 254  # marks the pixels of the image itself; padding cannot look like it


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
        flip: Mirror every second image.
        jitter: Largest relative change of brightness, contrast and saturation, made to
            80 % of the images, in [0, 1]; the hue turns by a fifth of it.
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
            A.PadIfNeeded(height, width, position="random", fill=gray, fill_mask=VOID),
            A.RandomCrop(height, width),
        ]
    if jitter:
        strength = (max(0.0, 1 - jitter), 1 + jitter)
        hue = (-jitter / 5, jitter / 5)
        steps.append(A.ColorJitter(strength, strength, strength, hue, p=0.8))
    return A.Compose(steps)


def read_pipeline(path: str) -> Pipeline:
    """Read a pipeline that ``albumentations.save`` wrote, as YAML or JSON.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no pipeline.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"transform must be a file, got {path}")
    form = "json" if path.endswith(".json") else "yaml"
    try:
        pipeline: Pipeline = A.load(path, data_format=form)
    except Exception as error:  # whatever the constructors of its steps raise
        raise ValueError(
            f"transform must be a file of albumentations.save, got {path}:"
            f" {type(error).__name__} {error}"
        ) from error
    return pipeline


def plain_pipeline(pipeline: Pipeline) -> dict[str, Any] | None:
    """Return a pipeline as plain values; None if it holds steps of one's own."""
    try:
        values: dict[str, Any] = copy.deepcopy(A.to_dict(pipeline))
    except (NotImplementedError, ValueError):
        return None
    # Steps of albumentations go by their bare names, others by their modules too.
    own = re.search(r"'__class_fullname__': '[^']*\.", str(values))
    return None if own else values


def make_pipeline(values: dict[str, Any]) -> Pipeline:
    """Return the pipeline of what ``albumentations.to_dict`` says of one.

    Raises:
        ValueError: If it says nothing of one.
    """
    try:
        with warnings.catch_warnings():  # of what to_dict itself has said
            warnings.simplefilter("ignore", UserWarning)
            pipeline: Pipeline = A.from_dict(values)
    except Exception as error:  # whatever the constructors of its steps raise
        raise ValueError(
            f"transform must be what albumentations.to_dict says, got {values}"
        ) from error
    return pipeline


class Transform:
    """Resize, augment and normalize one image, with its label, from one seed.

    Args:
        pipeline: An albumentations transform or pipeline that yields uint8 images;
            None for no augmentation. Pixels that it pads become void, whatever its
            ``fill_mask``.
        size: Height and width that the image is resized to first; None leaves it.
        mean: Mean of the channels, each in [0, 1].
        std: Spread of the channels, each in (0, 1].
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
        mark_padding: bool = True,
    ) -> None:
        steps: list[Pipeline] = []
        if size is not None:
            steps.append(A.Resize(*size, area_for_downscale="image"))
        if pipeline is not None:
            steps.append(pipeline)
        self._pipeline = A.Compose(
            steps, additional_targets={"label": "mask", "inside": "mask"}
        )
        self._normalize = A.Normalize(tuple(mean), tuple(std))
        self._mark_padding = mark_padding

    def __call__(
        self,
        image: NDArray[np.uint8],
        label: NDArray[np.uint8] | None = None,
        *,
        seed: int = 0,
    ) -> dict[str, Tensor]:
        """Transform one image.

        Args:
            image: uint8 ``(H, W, C)`` in [0, 255].
            label: Class per pixel or 255, uint8 ``(H, W)``.
            seed: Decides every random choice.

        Returns:
            ``image``, normalized float32 ``(C, H', W')``; ``valid``, bool ``(H', W')``,
            False where the pipeline padded; with a label also ``label``, int64
            ``(H', W')``, 255 where padded.

        Raises:
            ValueError: If the pipeline yields anything but uint8 images.
        """
        self._pipeline.set_random_seed(seed % 2**32)
        targets: dict[str, Any] = {
            "image": image,
            "inside": np.full(image.shape[:2], _INSIDE, np.uint8),
        }
        if label is not None:
            targets["label"] = label
        with warnings.catch_warnings():
            # Shapes may differ from call to call; that is what crops are for.
            warnings.filterwarnings("ignore", category=UserWarning, module="albu")
            out = self._pipeline(**targets)
        if not isinstance(out["image"], np.ndarray) or out["image"].dtype != np.uint8:
            raise ValueError(
                f"transform must yield uint8 images, got {type(out['image']).__name__}"
                f" of {out['image'].dtype}; leave out Normalize and ToTensorV2, mean"
                " and std do that"
            )
        normal = self._normalize(image=np.ascontiguousarray(out["image"]))["image"]

        valid = torch.from_numpy(out["inside"] == _INSIDE)
        planes = np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)
        sample = {"image": torch.from_numpy(planes), "valid": valid}
        if label is not None:
            classes = torch.from_numpy(out["label"].astype(np.int64))
            sample["label"] = classes.where(valid, VOID)
        if not self._mark_padding:
            sample["valid"] = torch.ones_like(valid)
        return sample
