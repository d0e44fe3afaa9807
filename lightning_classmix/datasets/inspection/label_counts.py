"""Count the raw values in label files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.labels.label_map import LabelMap, count_values
from lightning_classmix.datasets.labels.palette_conflicts import palette_conflicts
from lightning_classmix.datasets.parallel import parallel_map
from lightning_classmix.ops import VOID


class LabelCounts(NamedTuple):
    """Pixels of each raw value in each of N label files."""

    values: NDArray[np.int64]
    """Raw values that occur in any file, ascending, ``(V,)``."""
    counts: NDArray[np.int64]
    """Pixels of each value in each file, ``(N, V)``; 0 for an unreadable file."""
    faults: Sequence[str] = ()
    """Error message of each file that cannot be read."""

    def by_file(self, files: ImageFiles) -> Iterator[tuple[Path, NDArray[np.int64]]]:
        """Yield the path and the raw values of each label file.

        Args:
            files: Labeled images, N of them.
        """
        for path, pixels in zip(files.labels or (), self.counts, strict=True):
            yield path, self.values[pixels > 0]


class LazyLabelCounts(Mapping[str, LabelCounts]):
    """Raw values in the labels by set; the label files are read on the first access.

    Args:
        list_files: Function that returns the files of each set.
    """

    def __init__(self, list_files: Callable[[], Files]) -> None:
        self._list_files = list_files
        self._known: dict[str, LabelCounts] = {}

    def __getitem__(self, name: str) -> LabelCounts:
        """Return the raw values in ``labeled``, ``val`` or ``test``."""
        if name not in self._known:
            files = getattr(self._list_files(), name, None)
            if files is None:
                raise KeyError(name)
            self._known[name] = count_labels(files)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the labeled sets."""
        files = self._list_files()
        names = ("labeled", "val", "test")
        return (name for name in names if getattr(files, name) is not None)

    def __len__(self) -> int:
        return len([*self])

    def known_faults(self, name: str) -> Sequence[str]:
        """Return the faults of a set whose labels were read; else nothing."""
        return self._known[name].faults if name in self._known else ()


def count_labels(files: ImageFiles) -> LabelCounts:
    """Read all label files and count their raw values; no image is read."""
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64))
    faults = []

    def read(index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        try:
            return count_values(files.raw_label(index))
        except (ValueError, OSError) as error:
            faults.append(str(error))
            return nothing

    counted = parallel_map(read, range(len(files)), "Reading labels")
    return stack_counts(counted)._replace(faults=sorted(faults))


def stack_counts(
    counted: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> LabelCounts:
    """Combine the results of `count_values` for each file into one table."""
    values = np.unique(np.concatenate([np.empty(0, int), *(v for v, _ in counted)]))
    counts = np.zeros((len(counted), len(values)), np.int64)
    for row, (occurring, pixels) in zip(counts, counted, strict=True):
        row[np.searchsorted(values, occurring)] = pixels
    return LabelCounts(values, counts)


def classes_present(
    counts: LabelCounts, label_map: LabelMap, files: ImageFiles
) -> NDArray[np.bool_]:
    """Return which classes each label file contains.

    Args:
        counts: Raw values of ``files``.
        label_map: Class of each raw value.
        files: Labeled images, N of them.

    Returns:
        Whether image i contains class c, bool ``(N, 256)``; False for void.

    Raises:
        ValueError: If a file is unreadable or has a value without a class; all such
            files are named.
    """
    raise_faults(counts.faults)
    present = np.zeros((len(counts.counts), VOID + 1), dtype=bool)
    faults = []
    paths = files.labels or ()
    for row, pixels, path in zip(present, counts.counts, paths, strict=True):
        values = counts.values[pixels > 0]
        classes = label_map.look_up(values)
        if (classes < 0).any():
            faults.append(label_map.fault(counts.values, pixels, path=path))
        row[classes] = True
    raise_faults(faults)
    raise_faults(palette_conflicts(counts.by_file(files), label_map))
    present[:, VOID] = False
    return present
