"""Dataset of image files and label files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch.utils.data import Dataset

from lightning_classmix.datasets.image_io import read_image, stem
from lightning_classmix.datasets.label_map import LabelMap
from lightning_classmix.datasets.label_reading import RawLabel, read_label
from lightning_classmix.datasets.paths import Paths


class ImageFiles(Dataset[dict[str, Any]]):
    """Image files, with or without label files.

    Args:
        images: Paths of the images.
        labels: Paths of their labels, in the same order; None for unlabeled images.
        label_map: Class of each raw value in the labels; None keeps raw values.
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
        self.labels, self.label_map, self.root = labels, label_map, root

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the path of an image relative to ``root``, without suffix."""
        return stem(self.images[index], self.root)

    def names(self) -> list[str]:
        """Return the names of all images."""
        return [stem(path, self.root) for path in self.images.strings()]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, RGB, ``name``, and ``label``, uint8 ``(H, W)``, if any.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read, image and label differ in size, or a
                raw value has no class; the file is named.
        """
        if self.labels is None:
            return {"image": read_image(self.images[index]), "name": self.name(index)}
        image, raw = self.read(index)
        label: Any = raw.values
        if self.label_map is not None:
            label = self.label_map(raw, self.labels[index])
        return {"image": image, "label": label, "name": self.name(index)}

    def read(self, index: int) -> tuple[Image.Image, RawLabel]:
        """Return an image and the raw values of its label.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read, or image and label differ in size.
        """
        image, raw = read_image(self.images[index]), self.raw_label(index)
        self.check_size(index, image.size, raw.values.shape)
        return image, raw

    def raw_label(self, index: int) -> RawLabel:
        """Return the raw values of a label."""
        if self.labels is None:
            raise TypeError("images must have labels, got unlabeled images")
        return read_label(self.labels[index])

    def check_size(
        self, index: int, image: Sequence[int], label: Sequence[int]
    ) -> None:
        """Check that a label has the size of its image.

        Args:
            index: Index of the image.
            image: Width and height of the image.
            label: Height and width of its label.

        Raises:
            ValueError: If they differ; both files are named.
        """
        width, height = image
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
