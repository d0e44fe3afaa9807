"""Read the image files and label files of a dataset once, and record their content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import read_image
from lightning_classmix.datasets.label_counts import LabelCounts, stack_counts
from lightning_classmix.datasets.label_map import count_values
from lightning_classmix.datasets.parallel import parallel_map


class FileRecord(NamedTuple):
    """Content of an image file and its label file; None for what is unreadable."""

    path: Path
    """Path of the image."""
    size: tuple[int, int] | None
    """Height and width in pixels, after EXIF rotation."""
    channels: str | None
    """Pillow's mode of the image file, such as ``RGB``."""
    digest: bytes | None
    """Hash of the RGB pixels, after EXIF rotation."""
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Raw values of the label, and number of pixels of each."""
    faults: list[str]
    """Error messages, each with the name of a file."""


def read_records(files: ImageFiles, name: str) -> list[FileRecord]:
    """Read all images and labels of a set once.

    Args:
        files: Images, with or without labels.
        name: Name of the set, shown beside the progress bar.
    """

    def read(index: int) -> FileRecord:
        path, faults = files.images[index], list[str]()
        size = channels = digest = None
        counts = (np.empty(0, np.int64), np.empty(0, np.int64))
        try:
            image = read_image(path)
            with Image.open(path) as raw:
                channels = raw.mode
            size = (image.height, image.width)
            pixels = repr(size).encode() + image.tobytes()
            digest = hashlib.blake2b(pixels, digest_size=16).digest()
        except (ValueError, OSError) as error:
            faults.append(str(error))
        try:
            if files.labels is not None:
                label = files.raw_label(index)
                counts = count_values(label)
                if size is not None:
                    files.check_size(index, size[::-1], label.values.shape)
        except (ValueError, OSError) as error:
            faults.append(str(error))
        return FileRecord(path, size, channels, digest, counts, faults)

    return parallel_map(read, range(len(files)), f"Reading {name}")


def label_counts(records: Sequence[FileRecord]) -> LabelCounts:
    """Return the raw values of the labels as `count_labels` does.

    ``faults`` is empty: those of the records include faults of the images.
    """
    return stack_counts([record.counts for record in records])
