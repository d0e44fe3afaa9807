"""Labels and images, read before anything is trained on them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from lightning_classmix.data.files import raise_faults
from lightning_classmix.data.image_files import ImageFiles
from lightning_classmix.data.label_map import count_values

CHECKED = 1000
"""Labelled images of a set that are read to their end before the first step."""


class LabelFacts(NamedTuple):
    """What reading label files once tells of them."""

    values: NDArray[np.int64]
    """Raw values that occur, in order, ``(V,)``."""
    counts: NDArray[np.int64]
    """Pixels of each of them in each file, ``(N, V)``."""


def read_facts(files: ImageFiles) -> LabelFacts:
    """Read all labels, and no image.

    Raises:
        ValueError: If files cannot be read; it names each of them.
    """
    found, faults = for_each(
        lambda index: count_values(files.raw_label(index)),
        range(len(files)),
        "Reading labels",
    )
    raise_faults(faults)
    return gather(found)


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
    """Read labelled images as training does, all of a small set, some of a large one.

    Raises:
        ValueError: If one cannot be read, differs in size from its label, or has a
            value that is no class; it names all such files.
    """
    places = range(min(len(files), CHECKED))
    raise_faults(for_each(files.__getitem__, places, "Checking images", keep=False)[1])


def for_each(
    task: Callable[[Any], Any], items: Sequence[Any], title: str, *, keep: bool = True
) -> tuple[list[Any], list[str]]:
    """Do ``task`` to all items, side by side, with a bar if that takes its time.

    Returns:
        The results, if they are to be kept, and what each ValueError or OSError says.
    """

    def attempt(item: Any) -> Any:  # noqa: ANN401
        try:
            result = task(item)
        except (ValueError, OSError) as error:
            return error
        return result if keep else None

    results = thread_map(
        attempt,
        items,
        desc=title,
        delay=2,
        leave=False,
        disable=getattr(rank_zero_only, "rank", 0) != 0,
    )
    faults = [str(result) for result in results if isinstance(result, Exception)]
    return [one for one in results if not isinstance(one, Exception)], faults
