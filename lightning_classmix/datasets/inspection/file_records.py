"""Read the image files and label files of a dataset once, and record their content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_reading import file_channels
from lightning_classmix.datasets.inspection.label_counts import (
    LabelCounts,
    stack_counts,
)
from lightning_classmix.datasets.labels.label_map import count_values
from lightning_classmix.datasets.parallel import parallel_map
from lightning_classmix.datasets.pixel_range import check_pixel_range


class FileRecord(NamedTuple):
    """Content of an image file and its label file; None for what is unreadable."""

    path: Path
    """Path of the image."""
    size: tuple[int, int] | None
    """Height and width in pixels, after EXIF rotation."""
    channels: str | None
    """Pillow's mode of the image file, such as ``RGB``, or the bands of a TIFF file."""
    digest: bytes | None
    """Hash of the pixels, after EXIF rotation."""
    dropped: int
    """Number of channels of the file that are not used, such as alpha."""
    largest: int | None
    """Largest pixel value of an image of 16 bits; None for other images."""
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Raw values of the label, and number of pixels of each."""
    faults: list[str]
    """Error messages, each with the name of a file."""


def read_records(
    files: ImageFiles, name: str, value_range: tuple[float, float] | None = None
) -> list[FileRecord]:
    """Read all images and labels of a set once.

    Args:
        files: Images, with or without labels.
        name: Name of the set, shown next to the progress bar.
        value_range: Pixel values that become 0 and 1; None for those of the type.
    """

    def read(index: int) -> FileRecord:
        path, faults = files.images[index], list[str]()
        size = channels = digest = largest = None
        dropped = 0
        counts = (np.empty(0, np.int64), np.empty(0, np.int64))
        try:
            image = files.read_image(index)
            channels, bands = file_channels(path)
            if value_range is None:
                check_pixel_range(image, f" in {path}")
            size = (image.shape[0], image.shape[1])
            pixels = repr((image.shape, image.dtype)).encode() + image.tobytes()
            digest = hashlib.blake2b(pixels, digest_size=16).digest()
            dropped = max(0, bands - files.channels)
            largest = int(image.max()) if image.dtype == np.uint16 else None
        except (ValueError, OSError) as error:
            faults.append(str(error))
        try:
            if files.labels is not None:
                label = files.raw_label(index)
                counts = count_values(label)
                if size is not None:
                    files.check_size(index, size, label.values.shape)
        except (ValueError, OSError) as error:
            faults.append(str(error))
        return FileRecord(
            path, size, channels, digest, dropped, largest, counts, faults
        )

    return parallel_map(read, range(len(files)), f"Reading {name}")


def label_counts(records: Sequence[FileRecord]) -> LabelCounts:
    """Return the raw values of the labels as `count_labels` does.

    ``faults`` is empty: those of the records include faults of the images.
    """
    return stack_counts([record.counts for record in records])
