"""What labelled files must be, said before anything is trained on them."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from lightning_classmix.data.files import raise_faults, read_image, read_label


class LabelFacts(NamedTuple):
    """What reading label files once tells of them."""

    counts: NDArray[np.int64]
    """Pixels of each raw value in each file, ``(N, 256)``."""
    sizes: NDArray[np.int64]
    """Height and width of each file, ``(N, 2)``."""


def read_facts(labels: Sequence[Path]) -> LabelFacts:
    """Read label files.

    Raises:
        ValueError: If files cannot be read; it names each of them.
    """

    def read(path: Path) -> tuple[NDArray[np.int64], tuple[int, ...]]:
        label = read_label(path)
        return np.bincount(label.ravel(), minlength=256), label.shape

    facts, faults = _each(read, labels, "Reading labels")
    raise_faults(faults)
    counts, sizes = zip(*facts, strict=True)
    return LabelFacts(np.stack(counts), np.array(sizes))


def check_values(
    labels: Sequence[Path], counts: NDArray[np.int64], values: Collection[int]
) -> None:
    """Check that label files hold no other values than they may.

    Args:
        labels: The files.
        counts: Pixels of each raw value in each of them, int64 ``(N, 256)``.
        values: Raw values that stand for a class or for void.

    Raises:
        ValueError: If there are other values; it names each file with its values.
    """
    other = counts.copy()
    other[:, sorted(values)] = 0
    raise_faults(
        f"a label must hold values of {_ranges(values)}, got"
        f" {', '.join(map(str, np.flatnonzero(other[index])[:10]))} in {labels[index]};"
        " mend the file, or give num_classes"
        for index in np.flatnonzero(other.any(axis=1)).tolist()
    )


def check_images(
    images: Sequence[Path], labels: Sequence[Path], sizes: NDArray[np.int64]
) -> None:
    """Read labelled images to their end, and check that they fit their labels.

    Args:
        images: The files.
        labels: Files of their labels, in the same order.
        sizes: Height and width of each label, ``(N, 2)``.

    Raises:
        ValueError: If an image cannot be read, or its size is not that of its label;
            it names all such files.
    """

    def check(index: int) -> None:
        width, height = read_image(images[index]).size
        rows, columns = sizes[index]
        if (height, width) != (rows, columns):
            raise ValueError(
                "an image and its label must have one size (height x width), got"
                f" {height} x {width} in {images[index]} and {rows} x {columns} in"
                f" {labels[index]}"
            )

    raise_faults(_each(check, range(len(images)), "Checking images")[1])


def _each(
    task: Callable[[Any], Any], items: Sequence[Any], title: str
) -> tuple[list[Any], list[str]]:
    """Do ``task`` to all items, with a bar if that is slow; return results, faults."""

    def attempt(item: Any) -> Any:  # noqa: ANN401
        try:
            return task(item)
        except (ValueError, OSError) as error:
            return error

    results = thread_map(
        attempt,
        items,
        desc=title,
        delay=2,
        leave=False,
        disable=getattr(rank_zero_only, "rank", 0) != 0,
    )
    faults = [str(result) for result in results if isinstance(result, Exception)]
    return results, faults


def _ranges(values: Collection[int]) -> str:
    """Tell whole numbers in words, such as ``0–10, 255``."""
    numbers = sorted(values)
    starts = [n for n in numbers if n - 1 not in values]
    ends = [n for n in numbers if n + 1 not in values]
    return ", ".join(
        str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)
    )
