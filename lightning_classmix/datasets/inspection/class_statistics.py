"""Pixels and images of each class in a set of labels."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.inspection.file_records import FileRecord
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.ops import VOID


class ClassStatistics(NamedTuple):
    """Content of a set of labels with C classes."""

    pixels: NDArray[np.int64]
    """Number of pixels of each class, ``(C,)``."""
    images: NDArray[np.int64]
    """Number of images that contain each class, ``(C,)``."""
    void: int
    """Number of void pixels."""
    per_image: Counter[int]
    """Number of images by the number of classes in them."""


def count_classes(
    records: Sequence[FileRecord], label_map: LabelMap, num_classes: int
) -> ClassStatistics:
    """Count pixels and images of each class.

    Args:
        records: Records of labeled images.
        label_map: Class of each raw value; values without a class are not counted.
        num_classes: Number of classes, C.
    """
    pixels, images = np.zeros((2, VOID + 1), np.int64)
    per_image: Counter[int] = Counter()
    for record in records:
        values, counts = record.counts
        classes = label_map.look_up(values)
        inside = classes >= 0
        np.add.at(pixels, classes[inside], counts[inside])
        contained = {*classes[inside].tolist()} - {VOID}
        images[list(contained)] += 1
        if len(values):
            per_image[len(contained)] += 1
    return ClassStatistics(
        pixels[:num_classes], images[:num_classes], int(pixels[VOID]), per_image
    )
