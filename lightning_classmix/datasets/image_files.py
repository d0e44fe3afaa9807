"""Dataset of image files and label files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from torch.utils.data import Dataset

from lightning_classmix.datasets.image_io import MAX_IMAGE_PIXELS, stem
from lightning_classmix.datasets.image_reading import read_image
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.labels.label_reading import RawLabel, read_label
from lightning_classmix.datasets.paths import Paths


class ImageFiles(Dataset[dict[str, Any]]):
    """Image files, with or without label files.

    Args:
        images: Paths of the images.
        labels: Paths of their labels, in the same order; None for unlabeled images.
        label_map: Class of each raw value in the labels; None keeps raw values.
        channels: Number of image channels, C.
        max_pixels: Largest number of pixels of an image.
        root: Folder that the names of the images are relative to.

    Raises:
        ValueError: If there are more or fewer labels than images.
    """

    def __init__(
        self,
        images: Iterable[str | Path],
        labels: Iterable[str | Path] | None = None,
        *,
        label_map: LabelMap | None = None,
        channels: int = 3,
        max_pixels: int = MAX_IMAGE_PIXELS,
        root: Path,
    ) -> None:
        self.images = images if isinstance(images, Paths) else Paths(images)
        if labels is not None and not isinstance(labels, Paths):
            labels = Paths(labels)
        if labels is not None and len(labels) != len(self.images):
            raise ValueError(
                f"labels must be as many as images, got {len(labels)} labels for"
                f" {len(self.images)} images"
            )
        self.labels = labels
        self.label_map = label_map
        self.channels = channels
        self.max_pixels = max_pixels
        self.root = root

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the path of an image relative to ``root``, without suffix."""
        return stem(self.images[index], self.root)

    def names(self) -> list[str]:
        """Return the names of all images."""
        return [stem(path, self.root) for path in self.images.strings()]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image`` ``(H, W, C)``, ``name``, any ``label``, uint8 ``(H, W)``.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read, image and label differ in size, or a
                raw value has no class; the file is named.
        """
        if self.labels is None:
            return {"image": self.read_image(index), "name": self.name(index)}
        image, raw = self.read(index)
        label: Any = raw.values
        if self.label_map is not None:
            label = self.label_map(raw, self.labels[index])
        return {"image": image, "label": label, "name": self.name(index)}

    def read_image(self, index: int) -> NDArray[Any]:
        """Return an image at the precision of its file, ``(H, W, C)``."""
        return read_image(self.images[index], self.channels, self.max_pixels)

    def read(self, index: int) -> tuple[NDArray[Any], RawLabel]:
        """Return an image and the raw values of its label.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read, or image and label differ in size.
        """
        image, raw = self.read_image(index), self.raw_label(index)
        self.check_size(index, image.shape, raw.values.shape)
        return image, raw

    def raw_label(self, index: int) -> RawLabel:
        """Return the raw values of a label."""
        if self.labels is None:
            raise TypeError("images must have labels, got unlabeled images")
        return read_label(self.labels[index], self.max_pixels)

    def check_size(
        self, index: int, image: Sequence[int], label: Sequence[int]
    ) -> None:
        """Check that a label has the size of its image.

        Args:
            index: Index of the image.
            image: Height and width of the image.
            label: Height and width of its label.

        Raises:
            ValueError: If they differ; both files are named.
        """
        height, width = image[:2]
        rows, columns = label
        if (height, width) == (rows, columns):
            return
        turned = (height, width) == (columns, rows)
        hint = "; is the image rotated by its EXIF data only?" if turned else ""
        raise ValueError(
            "an image and its label must have the same size (height x width), got"
            f" {height} x {width} in {self.images[index]} and {rows} x {columns} in"
            f" {self.labels and self.labels[index]}{hint}"
        )

    def take(
        self, indices: Sequence[int], label_map: LabelMap | None = None
    ) -> "ImageFiles":
        """Return the images of ``indices``, in that order, with another label map."""
        return ImageFiles(
            self.images.take(indices),
            None if self.labels is None else self.labels.take(indices),
            label_map=label_map,
            channels=self.channels,
            max_pixels=self.max_pixels,
            root=self.root,
        )

    def read_with(self, channels: int, max_pixels: int) -> "ImageFiles":
        """Return the same files, read with other channels and another limit."""
        return ImageFiles(
            self.images,
            self.labels,
            label_map=self.label_map,
            channels=channels,
            max_pixels=max_pixels,
            root=self.root,
        )


class Files(NamedTuple):
    """Files of a dataset by set."""

    labeled: ImageFiles
    unlabeled: ImageFiles | None = None
    val: ImageFiles | None = None
    test: ImageFiles | None = None
    faults: Sequence[str] = ()
    """Error messages, each with the name of a file, such as of missing labels."""

    def read_with(self, channels: int, max_pixels: int) -> "Files":
        """Return the same files, read with other channels and another limit."""
        unlabeled, val, test = (
            None if part is None else part.read_with(channels, max_pixels)
            for part in (self.unlabeled, self.val, self.test)
        )
        labeled = self.labeled.read_with(channels, max_pixels)
        return self._replace(labeled=labeled, unlabeled=unlabeled, val=val, test=test)
