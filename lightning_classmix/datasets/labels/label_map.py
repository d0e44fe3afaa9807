"""Map the raw values of label files to classes."""

from collections.abc import Collection, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.labels.label_reading import RawLabel
from lightning_classmix.datasets.labels.raw_values import (
    FEW_BITS,
    INDEXED,
    color_of,
    color_value,
    format_value,
    index_of,
    is_color,
    stretched,
)
from lightning_classmix.ops import VOID

_SHOWN = 10  # values that an error message lists
_TABLE = 1 << 16


class LabelMap:
    """The class of each raw value that may occur in a label file.

    Palette files are translated by their colors if the map has colors and they match;
    otherwise the indices count. Numbers in files of 1, 2 or 4 bits stand for their
    8-bit values, such as 255 for white, where only these have classes.

    Args:
        classes: Class, or 255 for void, of each raw value. If there is no color among
            them, a gray color counts as its gray value.
        stretch: Whether files of few bits always stand for their 8-bit values.
    """

    def __init__(self, classes: Mapping[int, int], *, stretch: bool = False) -> None:
        self.known = classes
        self.stretch = stretch
        self.has_colors = any(is_color(value) for value in classes)
        if not self.has_colors:
            gray = {v: c for v, c in classes.items() if 0 <= v < 256}
            classes = {**classes, **{color_value(v, v, v): c for v, c in gray.items()}}
        self._raw = np.array(sorted(classes), np.int64)
        self._classes = np.array([classes[v] for v in sorted(classes)], np.int16)
        self._table = np.full(_TABLE, -1, np.int16)
        numbers = (self._raw >= 0) & (self._raw < _TABLE)
        self._table[self._raw[numbers]] = self._classes[numbers]

    def look_up(self, values: NDArray[np.int64]) -> NDArray[np.int16]:
        """Return the classes of the raw values of one file.

        Args:
            values: All raw values of the file, each once, int64 ``(V,)``.

        Returns:
            Class, 255 for void, or -1 for a value without a class, int16 ``(V,)``.
        """
        classes = self._look_up_plain(values)
        indexed = (values >= INDEXED) & (values < FEW_BITS)
        if indexed.any():
            classes[indexed] = self._look_up_palette(values[indexed])
        few = values >= FEW_BITS
        if few.any():
            numbers = self._look_up_plain(values[few] & 0xFF)
            large = self._look_up_plain(stretched(values[few]))
            only_large = (large >= 0).all() and (numbers < 0).any()
            classes[few] = large if self.stretch or only_large else numbers
        return classes

    def _look_up_plain(self, values: NDArray[np.integer]) -> NDArray[np.int16]:
        """Return the classes of numbers and colors."""
        position = np.searchsorted(self._raw, values).clip(max=len(self._raw) - 1)
        known = self._raw[position] == values
        return np.where(known, self._classes[position], -1)

    def _look_up_palette(self, values: NDArray[np.int64]) -> NDArray[np.int16]:
        """Return the classes of the indices that a palette file uses."""
        by_index = self._look_up_plain(index_of(values))
        by_color = self._look_up_plain(color_of(values))
        if self.has_colors:
            void = (by_color < 0) & (by_index == VOID)
            colors = np.where(void, VOID, by_color)
            differ = (by_color >= 0) & (by_color != by_index)
            return colors if (colors >= 0).all() or differ.any() else by_index
        if len({*color_of(values).tolist()}) < len(values):  # colors without meaning
            return by_index
        if (by_color < 0).any() or (by_index < 0).any():  # one of both is meant
            return by_color if (by_color >= 0).all() else by_index
        # A palette of grays whose indices and grays are classes, but not the same ones.
        ambiguous = (by_color != VOID) & (by_color != by_index)
        return np.where(ambiguous, -1, by_index).astype(np.int16)

    def uses_indices(self, values: NDArray[np.int64]) -> bool:
        """Return whether a palette file is read by its indices.

        Args:
            values: All raw values of the file, int64 ``(V,)``.
        """
        indexed = values[(values >= INDEXED) & (values < FEW_BITS)]
        by_index = self._look_up_plain(index_of(indexed))
        return len(indexed) > 0 and bool((self.look_up(indexed) == by_index).all())

    @property
    def may_hide_a_class(self) -> bool:
        """Whether 0 is class 0 and 255 void, so that masks of 0 and 255 look empty."""
        return (self.known.get(0), self.known.get(VOID)) == (0, VOID)

    def __call__(self, label: RawLabel, path: Path) -> NDArray[np.uint8]:
        """Return the class of each pixel of a label file, uint8 ``(H, W)``.

        Raises:
            ValueError: If a value has no class; the file, the values and the number of
                their pixels are named.
        """
        values = label.values
        if values.dtype == np.uint8 and values.size:
            table = self._table[:256]
            if label.codes is not None:
                counts = cv2.calcHist([values], [0], None, [256], [0, 256])
                used = np.flatnonzero(counts)
                table = np.full(256, -1, np.int16)
                table[used] = self.look_up(label.codes[used])
            unknown = (table < 0).astype(np.uint8)
            largest = int(values.max())
            if unknown[: largest + 1].any() and cv2.LUT(values, unknown).any():
                raise ValueError(self.fault(*count_values(label), path=path))
            return np.asarray(cv2.LUT(values, table.astype(np.uint8)), np.uint8)
        if values.dtype == np.uint16:
            classes: NDArray[np.int16] = self._table[values]
        else:
            classes = self._look_up_plain(values)
        if classes.min(initial=0) < 0:
            raise ValueError(self.fault(*count_values(label), path=path))
        return classes.astype(np.uint8)

    def fault(
        self, values: NDArray[np.int64], counts: NDArray[np.int64], *, path: Path
    ) -> str:
        """Return the error message of a file with values that have no class.

        Args:
            values: Raw values, int64 ``(V,)``.
            counts: Number of pixels of each in the file, int64 ``(V,)``.
            path: Path of the file.
        """
        values, counts = values[counts > 0], counts[counts > 0]
        wrong = self.look_up(values) < 0
        shown = [
            f"{format_value(value)} ({count} pixel{'s' * (count > 1)})"
            for value, count in zip(
                values[wrong].tolist(), counts[wrong].tolist(), strict=True
            )
        ]
        if len(shown) > _SHOWN:
            shown = [*shown[:_SHOWN], f"{len(shown) - _SHOWN} other values"]
        return (
            f"a label must hold values of {_ranges(self.known)}, got"
            f" {', '.join(shown)} in {path}{channel_hint(values)}; correct the file, or"
            " give num_classes, palette or label_map"
        )


def count_values(label: RawLabel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the raw values of a label file, and the number of pixels of each."""
    raw = label.values
    if raw.dtype.itemsize <= 2:
        counts = np.bincount(raw.ravel())
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(raw, return_counts=True)
    codes = values if label.codes is None else label.codes[values]
    return codes.astype(np.int64), counts


def channel_hint(values: NDArray[np.int64]) -> str:
    """Return a hint for error messages if colors differ in one channel only.

    Args:
        values: Raw values, int64 ``(V,)``.
    """
    colors = np.array([value for value in values.tolist() if is_color(value)], np.int64)
    channels = {"red": colors >> 16 & 0xFF, "green": colors >> 8 & 0xFF}
    channels["blue"] = colors & 0xFF
    varying = [name for name, part in channels.items() if len({*part.tolist()}) > 1]
    if len(varying) != 1:
        return ""
    return (
        f" (the classes seem to be in the {varying[0]} channel: save that channel as a"
        " gray image)"
    )


def _ranges(values: Collection[int]) -> str:
    """Return numbers as ranges, such as ``0 to 10, 255``, and then colors."""
    numbers = sorted(value for value in values if not is_color(value))
    starts = [n for n in numbers if n - 1 not in values]
    ends = [n for n in numbers if n + 1 not in values]
    parts = [
        str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)
    ]
    colors = sorted(value for value in values if is_color(value))
    return ", ".join(parts + [format_value(value) for value in colors])


def check_classes(label_map: Mapping[int, int], num_classes: int) -> None:
    """Raise a ValueError if a raw value maps to neither a class nor void."""
    for value, label in label_map.items():
        if not 0 <= label < num_classes and label != VOID:
            raise ValueError(
                f"label_map must map to classes in [0, {num_classes - 1}] or to 255"
                f" for void, got {label} for {format_value(value)}"
            )
