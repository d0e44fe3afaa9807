"""Views of a dataset for training, evaluation and prediction."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lightning_classmix.datasets.transforms import Transform
from lightning_classmix.ops import derive_seed


class Source(Sized, Protocol):
    """What is asked of a data set: a length, and items by index.

    An item is a dict with ``image`` (and ``label``), a tuple ``(image, label)``, or an
    image alone. Images are PIL images, uint8 arrays ``(H, W, C)`` or uint8 tensors
    ``(C, H, W)``, which are augmented and normalized, or float tensors ``(C, H, W)``,
    which pass untouched. Labels hold the class per pixel ``(H, W)``, 255 for void.
    """

    def __getitem__(self, index: int, /) -> Any:
        """Return one item."""
        ...


class TrainingView(Dataset[dict[str, Tensor]]):
    """A dataset whose items are augmented anew in every pass; see `training_sample`.

    Args:
        source: The dataset.
        transform: Transform of PIL images and uint8 arrays.
        labeled: Whether labels are kept.
        seed: Seed of the augmentation.
    """

    def __init__(
        self, source: Source, transform: Transform, *, labeled: bool, seed: int
    ) -> None:
        self.source, self.transform = source, transform
        self.labeled, self.seed = labeled, seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, place: tuple[int, int] | int) -> dict[str, Tensor]:
        """Return item ``place = (index, pass)``; a bare index is of pass 0."""
        index, number = place if isinstance(place, tuple) else (place, 0)
        return training_sample(
            self.source[index],
            self.transform,
            (number, index),
            labeled=self.labeled,
            seed=self.seed,
        )


class EvaluationView(Dataset[dict[str, Any]]):
    """A data set to be evaluated on: images are transformed, labels keep their size.

    Args:
        source: The data set, labeled.
        transform: What PIL images and uint8 arrays go through.
        resize_labels: Whether labels go through it, too.
    """

    def __init__(
        self, source: Source, transform: Transform, *, resize_labels: bool = False
    ) -> None:
        self.source, self.transform = source, transform
        self.resize_labels = resize_labels

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, float ``(C, H', W')``, and ``label``, int64 ``(H, W)``.

        An item with a ``name`` keeps it.
        """
        item = self.source[index]
        image, label = _parts(item, index, labeled=True)
        # A tensor may have been resized already, but then its label had to be, too.
        if isinstance(image, np.ndarray) or self.resize_labels:
            _check_size(image, label, index)
        followed = label if self.resize_labels else None
        sample = _sample(self.transform, image, followed, seed=0)
        whole = torch.as_tensor(label).long()
        named = (
            {"name": item["name"]}
            if isinstance(item, Mapping) and "name" in item
            else {}
        )
        return {"image": sample["image"], "label": sample.get("label", whole), **named}


class PredictionView(Dataset[dict[str, Any]]):
    """A data set to predict on: the image alone, with its name and its size.

    Args:
        source: The data set.
        transform: What PIL images and uint8 arrays go through.
    """

    def __init__(self, source: Source, transform: Transform) -> None:
        self.source, self.transform = source, transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, ``name`` and ``size``, int64 ``(2,)``: height, width.

        An image that cannot be read costs no more than its own prediction: it comes as
        ``name`` and ``error``.
        """
        name = f"{index:06d}"
        try:
            item = self.source[index]
            image, _ = _parts(item, index, labeled=False)
        except (ValueError, OSError) as error:
            return {"name": name, "error": str(error)}
        if isinstance(item, Mapping) and "name" in item:
            name = str(item["name"])
        sample = _sample(self.transform, image, None, seed=0)
        size = torch.tensor(_size(image))
        return {"image": sample["image"], "name": name, "size": size}


def training_sample(
    item: Any,
    transform: Transform,
    place: tuple[int, ...],
    *,
    labeled: bool,
    seed: int,
) -> dict[str, Tensor]:
    """Return a training item, augmented.

    Args:
        item: Item of a `Source`.
        transform: Transform of PIL images and uint8 arrays.
        place: Pass over the dataset, and index of the item in it; further numbers
            where these do not identify an item. With ``seed`` it determines the
            augmentation.
        labeled: Whether the label is kept.
        seed: Seed of the augmentation.

    Returns:
        ``image``, float ``(C, H, W)``, with ``label``, int64 ``(H, W)``, of a labeled
        item, else with ``valid``, bool ``(H, W)``.
    """
    index = place[1]
    image, label = _parts(item, index, labeled=labeled)
    _check_size(image, label, index)
    drawn = derive_seed(seed, int(labeled), *place)
    sample = _sample(transform, image, label, seed=drawn)
    kept = "label" if labeled else "valid"
    return {"image": sample["image"], kept: sample[kept]}


def _parts(
    item: Any,
    index: int,
    *,
    labeled: bool,
) -> tuple[NDArray[np.uint8] | Tensor, NDArray[np.uint8] | None]:
    """Take one item apart: a uint8 array or float tensor, and its label."""
    image, label = _pair(item)
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    elif isinstance(image, Tensor) and image.dtype == torch.uint8:
        image = image.permute(1, 2, 0).numpy()
    untouched = isinstance(image, Tensor) and image.is_floating_point()
    if not untouched and not (
        isinstance(image, np.ndarray) and image.dtype == np.uint8
    ):
        raise TypeError(
            "image must be a PIL image, a uint8 array or tensor, or a float tensor,"
            f" got {_kind(image)} in item {index}"
        )
    if image.ndim != 3:
        raise ValueError(
            f"image must have 3 dimensions, got {tuple(image.shape)} in item {index}"
        )
    if not labeled:
        return image, None
    if label is None:
        raise ValueError(
            f"a labeled item must be (image, label) or a dict with both, got"
            f" {_kind(item)} for item {index}"
        )

    classes = np.asarray(label)
    whole = classes.dtype.kind in "iub" and classes.size > 0
    if not whole or classes.min() < 0 or classes.max() > 255:
        held = f" in [{classes.min()}, {classes.max()}]" if whole else ""
        raise ValueError(
            f"label must hold whole numbers in [0, 255], got {classes.dtype}{held} in"
            f" item {index}; 255 is void"
        )
    return image, classes.astype(np.uint8)


def _check_size(
    image: NDArray[np.uint8] | Tensor, label: NDArray[np.uint8] | None, index: int
) -> None:
    if label is not None and label.shape != _size(image):
        raise ValueError(
            f"label must have the size of its image, {_size(image)}, got {label.shape}"
            f" in item {index}"
        )


def _size(image: NDArray[np.uint8] | Tensor) -> tuple[int, ...]:
    shape = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return tuple(shape)


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        return item["image"], item.get("label")
    if isinstance(item, Sequence):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _sample(
    transform: Transform,
    image: NDArray[np.uint8] | Tensor,
    label: NDArray[np.uint8] | None,
    *,
    seed: int,
) -> dict[str, Tensor]:
    """Return ``image``, ``valid`` and any ``label``; float tensors pass untouched."""
    if isinstance(image, np.ndarray):
        return transform(image, label, seed=seed)
    sample = {"image": image, "valid": torch.ones(image.shape[-2:], dtype=torch.bool)}
    if label is not None:
        sample["label"] = torch.from_numpy(label).long()
    return sample


def _kind(thing: object) -> str:
    dtype = getattr(thing, "dtype", "")
    return f"{type(thing).__name__} {dtype}".strip()
