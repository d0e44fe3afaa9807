"""Read images and labels before a training, and report faults."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.label_map import count_values
from lightning_classmix.ops import VOID

_Result = TypeVar("_Result")

CHECKED_UNLABELED = 100
"""Unlabeled images that are read to their end before the first step."""
CHECKED = 1000
"""Labeled images of a set that are read to their end before the first step."""


class LabelFacts(NamedTuple):
    """What reading label files once tells of them."""

    values: NDArray[np.int64]
    """Raw values that occur, in order, ``(V,)``."""
    counts: NDArray[np.int64]
    """Pixels of each of them in each file, ``(N, V)``; none of a broken one."""
    faults: Sequence[str] = ()
    """What is wrong with each file that cannot be read."""


def read_facts(files: ImageFiles) -> LabelFacts:
    """Read all labels, and no image."""
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64))
    faults = []

    def read(index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        try:
            return count_values(files.raw_label(index))
        except (ValueError, OSError) as error:
            faults.append(str(error))
            return nothing

    counted = parallel_map(read, range(len(files)), "Reading labels")
    return gather(counted)._replace(faults=sorted(faults))


def gather(
    counted: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> LabelFacts:
    """Put what ``count_values`` says of each file into one table."""
    values = np.unique(np.concatenate([np.empty(0, int), *(v for v, _ in counted)]))
    counts = np.zeros((len(counted), len(values)), np.int64)
    for row, (occurring, pixels) in zip(counts, counted, strict=True):
        row[np.searchsorted(values, occurring)] = pixels
    return LabelFacts(values, counts)


def check_first(files: ImageFiles) -> None:
    """Read images as training does, all of a small set, some of a large one.

    Also warn of labels that hold nothing but 0 and void.

    Raises:
        ValueError: If one cannot be read, differs in size from its label, or has a
            value that is no class; it names all such files.
    """

    def look(index: int) -> tuple[str | None, bool]:
        try:
            label = files[index].get("label")
        except (ValueError, OSError) as error:
            return str(error), False
        values = () if label is None else count_values(label)[0].tolist()
        return None, values == [0, VOID]

    count = CHECKED_UNLABELED if files.labels is None else CHECKED
    looked = parallel_map(look, range(min(len(files), count)), "Checking images")
    raise_faults(fault for fault, _ in looked if fault)
    background_only = [index for index, (_, alone) in enumerate(looked) if alone]
    ambiguous = files.label_map is not None and files.label_map.may_hide_a_class
    if background_only and ambiguous and files.labels is not None:
        rank_zero_warn(
            background_only_warning(
                len(background_only), files.labels[background_only[0]]
            )
        )


def background_only_warning(count: int, example: Path) -> str:
    """Tell that labels hold nothing but 0 and void, which may be meant for a class."""
    return (
        f"{count} label{'s' * (count > 1)} with nothing but class 0 and void, such as"
        f" {example}: if 255 is a class there, mend the files or give label_map"
    )


def parallel_map(
    task: Callable[[int], _Result], items: Sequence[int], title: str
) -> list[_Result]:
    """Do ``task`` to all items, side by side, with a bar if that takes its time."""
    results: list[_Result] = thread_map(
        task,
        items,
        desc=title,
        delay=2,
        leave=False,
        disable=getattr(rank_zero_only, "rank", 0) != 0,
    )
    return results
