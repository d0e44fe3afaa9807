"""Views of a dataset for training, evaluation and prediction."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.samples import (
    Source,
    image_and_label,
    image_size,
    training_sample,
    transform_item,
)
from lightning_classmix.datasets.transforms import Transform


class TrainingView(Dataset[dict[str, Tensor]]):
    """Dataset whose items are augmented differently in every pass.

    The augmentation depends on (``seed``, pass, index) only; see `training_sample`.

    Args:
        source: Dataset of images.
        transform: Transform of images that are not float tensors.
        labeled: Whether items have labels.
        seed: Seed of the augmentation.
    """

    def __init__(
        self, source: Source, transform: Transform, *, labeled: bool, seed: int
    ) -> None:
        self.source, self.transform = source, transform
        self.labeled, self.seed = labeled, seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int] | int) -> dict[str, Tensor]:
        """Return the item of ``key = (index, pass)``; an index alone means pass 0."""
        index, number = key if isinstance(key, tuple) else (key, 0)
        return training_sample(
            self.source[index],
            self.transform,
            (number, index),
            labeled=self.labeled,
            seed=self.seed,
            checked=isinstance(self.source, ImageFiles),
        )


class EvaluationView(Dataset[dict[str, Any]]):
    """Dataset for evaluation: images are transformed, labels keep their size.

    Args:
        source: Labeled dataset.
        transform: Transform of images that are not float tensors.
        resize_labels: Whether labels are transformed too.
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
        image, label = image_and_label(
            item,
            index,
            labeled=True,
            checked=isinstance(self.source, ImageFiles),
            # A tensor may have been resized, and its label kept at the full size.
            same_size=self.resize_labels,
        )
        if isinstance(image, Tensor) and not image.isfinite().all():
            raise ValueError(
                f"image must hold finite numbers, got NaN or infinity in item {index}"
            )
        followed = label if self.resize_labels else None
        sample = transform_item(self.transform, image, followed, seed=0)
        whole = torch.as_tensor(label).long()
        named = (
            {"name": item["name"]}
            if isinstance(item, Mapping) and "name" in item
            else {}
        )
        return {"image": sample["image"], "label": sample.get("label", whole), **named}


class PredictionView(Dataset[dict[str, Any]]):
    """Dataset for prediction: images with their names and sizes.

    Args:
        source: Dataset of images.
        transform: Transform of images that are not float tensors.
    """

    def __init__(self, source: Source, transform: Transform) -> None:
        self.source, self.transform = source, transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, ``name`` and ``size``, int64 ``(2,)``: height, width.

        An image that cannot be read becomes an item with ``name`` and ``error``.
        """
        name = f"{index:06d}"
        try:
            item = self.source[index]
            checked = isinstance(self.source, ImageFiles)
            image, _ = image_and_label(item, index, labeled=False, checked=checked)
        except (ValueError, OSError) as error:
            return {"name": name, "error": str(error)}
        if isinstance(item, Mapping) and "name" in item:
            name = str(item["name"])
        sample = transform_item(self.transform, image, None, seed=0)
        size = torch.tensor(image_size(image))
        return {"image": sample["image"], "name": name, "size": size}
