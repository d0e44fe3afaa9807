"""Read the first files of a dataset before training, and report faults."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.labels.label_map import LabelMap, count_values
from lightning_classmix.datasets.labels.palette_conflicts import palette_conflicts
from lightning_classmix.datasets.parallel import parallel_map
from lightning_classmix.datasets.pixel_range import check_pixel_range, range_warning
from lightning_classmix.ops import VOID

CHECKED_UNLABELED = 100
"""Number of unlabeled images that are read completely before the first step."""
CHECKED = 1000
"""Number of labeled images of a set that are read completely before the first step."""


def check_first_files(
    files: ImageFiles, value_range: tuple[float, float] | None = None
) -> None:
    """Read the first images as training does: all of a small set, some of a large one.

    Warn if labels contain nothing but class 0 and void, or the same class only, and if
    images of 16 bits use few of their levels.

    Args:
        files: Images, with or without labels.
        value_range: Pixel values that become 0 and 1; None for those of the type.

    Raises:
        ValueError: If an image cannot be read, differs in size from its label, or has a
            raw value without a class, or if palettes contradict each other; all such
            files are named. If all labels are void.
    """
    largest: list[tuple[int, Path]] = []

    def check_image(image: NDArray[Any], path: Path) -> None:
        if value_range is None:
            check_pixel_range(image, f" in {path}")
            if image.dtype == np.uint16:
                largest.append((int(image.max()), path))

    def check(index: int) -> tuple[str | None, NDArray[np.int64]]:
        nothing = np.empty(0, np.int64)
        try:
            if files.labels is None or files.label_map is None:
                check_image(files.read_image(index), files.images[index])
                return None, nothing
            image, label = files.read(index)
            check_image(image, files.images[index])
            files.label_map(label, files.labels[index])
        except (ValueError, OSError) as error:
            return str(error), nothing
        return None, count_values(label)[0]

    count = CHECKED_UNLABELED if files.labels is None else CHECKED
    results = parallel_map(check, range(min(len(files), count)), "Checking images")
    raise_faults(fault for fault, _ in results if fault)
    messages = [range_warning(largest)]
    if files.labels is not None and files.label_map is not None:
        paths, label_map = files.labels, files.label_map
        values = [(paths[index], values) for index, (_, values) in enumerate(results)]
        raise_faults(palette_conflicts(values, label_map))
        classes = [(path, {*label_map.look_up(v).tolist()}) for path, v in values]
        raise_faults(_void_only(classes))
        messages += label_warnings(classes, label_map)
    for message in filter(None, messages):
        rank_zero_warn(message)


def _void_only(classes: Sequence[tuple[Path, set[int]]]) -> list[str]:
    """Return a fault if no label has a pixel with a class."""
    if not classes or any(contained - {VOID} for _, contained in classes):
        return []
    return [
        f"labels must hold a pixel with a class, got void only in {len(classes)} files,"
        f" such as {classes[0][0]}; correct the files, or give label_map"
    ]


def label_warnings(
    classes: Sequence[tuple[Path, set[int]]], label_map: LabelMap
) -> list[str]:
    """Return warnings of labels that may have been read wrongly.

    Args:
        classes: Path and classes of each label file.
        label_map: Class of each raw value.
    """
    messages = []
    contained = set().union(*(classes for _, classes in classes)) - {VOID}
    background = [path for path, contained in classes if contained == {0, VOID}]
    if background and label_map.may_hide_a_class:
        messages.append(background_only_warning(len(background), background[0]))
    elif len(contained) == 1:
        messages.append(
            f"the labels hold class {contained.pop()} only, in {len(classes)} files,"
            f" such as {classes[0][0]}: no other class can be learned or scored"
        )
    return messages


def background_only_warning(count: int, example: Path) -> str:
    """Return the warning of labels that contain nothing but class 0 and void.

    Args:
        count: Number of such labels.
        example: File of one of them.
    """
    return (
        f"{count} label{'s' * (count > 1)} with nothing but class 0 and void, such as"
        f" {example}: if 255 is a class there, correct the files or give label_map"
    )
