"""Dataset of image files and label files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lightning_classmix.datasets.image_io import read_image, read_label, stem
from lightning_classmix.datasets.label_map import LabelMap
from lightning_classmix.datasets.paths import Paths


class ImageFiles(Dataset[dict[str, Any]]):
    """Images on a disk, with their labels if they have any.

    Args:
        images: Files of the images.
        labels: Files of their labels, in the same order; None for unlabeled images.
        label_map: What the raw values of the labels mean.
        root: Folder that the names of the images are relative to.
    """

    def __init__(
        self,
        images: Iterable[str | Path],
        labels: Iterable[str | Path] | None = None,
        *,
        label_map: LabelMap | None = None,
        root: Path,
    ) -> None:
        self.images = images if isinstance(images, Paths) else Paths(images)
        if labels is not None and not isinstance(labels, Paths):
            labels = Paths(labels)
        if labels is not None and len(labels) != len(self.images):
            raise ValueError(
                f"labels must be as many as images, got {len(labels)} for"
                f" {len(self.images)}"
            )
        self.labels, self.label_map, self.root = labels, label_map, root

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the file of an image, relative to ``root``, without its suffix."""
        return stem(self.images[index], self.root)

    def names(self) -> list[str]:
        """Return the names of all images."""
        return [stem(path, self.root) for path in self.images.strings()]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, RGB, ``name``, and any ``label``, uint8 ``(H, W)``.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read, image and label differ in size, or a
                raw value has no class; it names the file.
        """
        item: dict[str, Any] = {"image": read_image(self.images[index])}
        if self.labels is not None:
            raw = self.raw_label(index)
            self.check_size(index, item["image"].size, raw.shape)
            label = raw
            if self.label_map is not None:
                label = self.label_map(raw, self.labels[index])
            item["label"] = label
        return item | {"name": self.name(index)}

    def raw_label(self, index: int) -> NDArray[np.integer]:
        """Return the raw values of a label, ``(H, W)``."""
        if self.labels is None:
            raise TypeError("raw_label must be of labeled images, got unlabeled ones")
        return read_label(self.labels[index])

    def check_size(
        self, index: int, image: Sequence[int], label: Sequence[int]
    ) -> None:
        """Raise a ValueError if a label has not the size of its image.

        Args:
            index: Which image it is.
            image: Width and height of the image.
            label: Height and width of its label.
        """
        width, height = image
        rows, columns = label
        if (height, width) == (rows, columns):
            return
        turned = (height, width) == (columns, rows)
        hint = "; is the image turned by its EXIF data only?" if turned else ""
        raise ValueError(
            "an image and its label must have one size (height x width), got"
            f" {height} x {width} in {self.images[index]} and {rows} x {columns} in"
            f" {self.labels and self.labels[index]}{hint}"
        )

    def take(
        self, indices: Sequence[int], label_map: LabelMap | None = None
    ) -> "ImageFiles":
        """Return some of the images in the given order, labels by ``label_map``."""
        return ImageFiles(
            self.images.take(indices),
            None if self.labels is None else self.labels.take(indices),
            label_map=label_map,
            root=self.root,
        )


class Files(NamedTuple):
    """What a folder holds, by what it is for."""

    labeled: ImageFiles
    unlabeled: ImageFiles | None = None
    val: ImageFiles | None = None
    test: ImageFiles | None = None
    faults: Sequence[str] = ()
    """Files that lack their partner, and the like; each names its file."""
