"""Items of datasets, and the samples that are made of them."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lightning_classmix.batches import describe, missing_key_remedy
from lightning_classmix.datasets.transforms import Transform
from lightning_classmix.ops import derive_seed


class Source(Sized, Protocol):
    """A dataset with a length and items by index.

    An item is a dict with ``image`` (and ``label``), a tuple ``(image, label)``, or an
    image. PIL images, uint8 and uint16 arrays ``(H, W, C)``, and uint8 tensors
    ``(C, H, W)`` are augmented and normalized; float tensors ``(C, H, W)`` are used
    unchanged. Labels hold the class per pixel, ``(H, W)``, 255 for void.
    """

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""
        ...


def training_sample(
    item: Any,
    transform: Transform,
    position: tuple[int, ...],
    *,
    labeled: bool,
    seed: int,
    checked: bool = False,
) -> dict[str, Tensor]:
    """Return an augmented training sample.

    Args:
        item: Item of a `Source`.
        transform: Transform of images that are not float tensors.
        position: Pass over the dataset, and index of the item in it; further numbers
            where these do not identify an item. With ``seed`` it determines the
            augmentation.
        labeled: Whether the label is kept.
        seed: Seed of the augmentation.
        checked: Whether size and values of the label were checked, as by `ImageFiles`.

    Returns:
        ``image``, float ``(C, H, W)``, with ``label``, int64 ``(H, W)``, for labeled
        items, else with ``valid``, bool ``(H, W)``.
    """
    image, label = image_and_label(item, position[1], labeled=labeled, checked=checked)
    item_seed = derive_seed(seed, int(labeled), *position)
    sample = transform_item(transform, image, label, seed=item_seed)
    kept = "label" if labeled else "valid"
    return {"image": sample["image"], kept: sample[kept]}


def image_and_label(
    item: Any,
    index: int,
    *,
    labeled: bool,
    checked: bool = False,
    same_size: bool = True,
) -> tuple[NDArray[Any] | Tensor, NDArray[np.uint8] | None]:
    """Return image and label of an item: an array or float tensor, and uint8 classes.

    A tensor may differ in size from its label unless ``same_size``.
    """
    _check_keys(item, index, labeled)
    image, label = split_item(item)
    if checked:
        return image, label if labeled else None
    image = _checked_image(image, index)
    if not labeled:
        return image, None
    classes = _checked_label(label, index)
    if (same_size or isinstance(image, np.ndarray)) and classes.shape != image_size(
        image
    ):
        raise ValueError(
            f"label must have the size of its image, {image_size(image)}, got"
            f" {classes.shape} in item {index}"
        )
    return image, classes


def _check_keys(item: Any, index: int, labeled: bool) -> None:
    """Raise a ValueError if an item has no image or, if ``labeled``, no label."""
    needed = ("image", "label") if labeled else ("image",)
    found: Any = item if isinstance(item, Mapping) else {}
    if not isinstance(item, Mapping):
        image, label = split_item(item)
        found = {"image": image} if label is None else {"image": image, "label": label}
    missing = [key for key in needed if found.get(key) is None]
    if missing:
        remedy = missing_key_remedy(found, missing[0])
        form = "(image, label) or {'image', 'label'}" if labeled else "{'image'}"
        raise ValueError(f"item {index} must be {form}, got {describe(item)}; {remedy}")


def split_item(item: Any) -> tuple[Any, Any]:
    """Return image and label of a dict, a tuple or an image; None for no label."""
    if isinstance(item, Mapping):
        return item["image"], item.get("label")
    if isinstance(item, Sequence):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _checked_image(image: Any, index: int) -> NDArray[Any] | Tensor:
    """Return an image as an array ``(H, W, C)`` or as a float tensor ``(C, H, W)``."""
    if isinstance(image, Image.Image):
        deep = image.mode.startswith("I;16")
        image = (
            np.asarray(image)[..., None] if deep else np.asarray(image.convert("RGB"))
        )
    elif isinstance(image, Tensor) and image.dtype in (torch.uint8, torch.uint16):
        image = image.permute(1, 2, 0).numpy()
    untouched = isinstance(image, Tensor) and image.is_floating_point()
    if not untouched and not (
        isinstance(image, np.ndarray) and image.dtype in (np.uint8, np.uint16)
    ):
        raise TypeError(
            "image must be a PIL image, a uint8 or uint16 array or tensor, or a float"
            f" tensor, got {_kind(image)} in item {index}"
        )
    if image.ndim != 3:
        raise ValueError(
            f"image must have 3 dimensions, got {tuple(image.shape)} in item {index}"
        )
    checked: NDArray[Any] | Tensor = image
    return checked


def _checked_label(label: Any, index: int) -> NDArray[np.uint8]:
    """Return the class per pixel, uint8 ``(H, W)``."""
    classes = np.asarray(label)
    if classes.ndim == 3 and classes.shape[0] == 1:
        classes = classes[0]
    whole = classes.dtype.kind in "iub" and classes.size > 0
    if not whole or classes.min() < 0 or classes.max() > 255:
        held = f" in [{classes.min()}, {classes.max()}]" if whole else ""
        raise ValueError(
            f"label must hold whole numbers in [0, 255], got {classes.dtype}{held} in"
            f" item {index}; 255 is void"
        )
    return classes.astype(np.uint8)


def image_size(image: NDArray[Any] | Tensor) -> tuple[int, ...]:
    """Return height and width of an array or a float tensor."""
    shape = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return tuple(shape)


def transform_item(
    transform: Transform,
    image: NDArray[Any] | Tensor,
    label: NDArray[np.uint8] | None,
    *,
    seed: int,
) -> dict[str, Tensor]:
    """Return ``image``, ``valid`` and any ``label``; float tensors are unchanged."""
    if isinstance(image, np.ndarray):
        return transform(image, label, seed=seed)
    sample = {"image": image, "valid": torch.ones(image.shape[-2:], dtype=torch.bool)}
    if label is not None:
        sample["label"] = torch.from_numpy(label).long()
    return sample


def _kind(thing: object) -> str:
    dtype = getattr(thing, "dtype", "")
    return f"{type(thing).__name__} {dtype}".strip()


def sample_images(source: Source, count: int) -> Iterator[NDArray[Any]]:
    """Yield about ``count`` images, evenly spaced, as arrays; skip unreadable files."""
    for index in range(0, len(source), max(1, len(source) // count)):
        with suppress(ValueError, OSError):
            image, _ = split_item(source[index])
            yield np.asarray(image)
