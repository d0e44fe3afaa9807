"""Infer the number of classes from the values in label files."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.inspection.label_counts import (
    LabelCounts,
    stack_counts,
)
from lightning_classmix.datasets.labels.label_map import channel_hint
from lightning_classmix.datasets.labels.raw_values import (
    COLOR,
    FEW_BITS,
    format_value,
    numbers_of,
    stretched,
)
from lightning_classmix.ops import VOID

_STEPS = 2  # values between 0 and 255 that masks may contain without being smoothed


class LabelValues:
    """The values in label files as numbers where possible.

    Palette files count by their indices, gray colors by their gray value.

    Args:
        counted: Labeled files with their raw values.
        faults: Known faults of files, reported if there are no values.
        remedy: End of error messages: where the meaning of values can be given.
    """

    def __init__(
        self,
        counted: Iterable[tuple[ImageFiles, LabelCounts]],
        *,
        faults: Iterable[str] = (),
        remedy: str,
    ) -> None:
        raw = []
        self.files: list[Path] = []
        self.faults = [*faults]
        self.remedy = remedy
        for files, counts in counted:
            self.files += files.labels or ()
            self.faults += counts.faults
            raw += [(counts.values[row > 0], row[row > 0]) for row in counts.counts]
        self.stretch = _are_stretched([values for values, _ in raw])
        stacked = stack_counts(
            [_merge(numbers_of(v, stretch=self.stretch), pixels) for v, pixels in raw]
        )
        self.values = stacked.values
        self.present = stacked.counts > 0
        self.pixels = stacked.counts.sum(axis=0)

    @cached_property
    def binary(self) -> bool:
        """Whether 0 and 255 are two classes.

        True if more files contain 255 and nothing else but 0 than files that contain
        values between 0 and 255.
        """
        bright = self.present[:, self.values == VOID].any(axis=1)
        between = (self.values != 0) & (self.values != VOID)
        other = self.present[:, between].any(axis=1)
        return int((bright & ~other).sum()) > int(other.sum())

    def count_classes(self) -> int:
        """Return the largest class plus one; warn if classes below it are absent.

        Raises:
            ValueError: If there are colors, a number above 255, smoothed masks or fewer
                than two classes.
        """
        values = self.values
        colors = values[values >= COLOR]
        if len(colors):
            raise ValueError(
                "colors in labels must be mapped to classes, got"
                f" {self._example(colors[0])}{channel_hint(colors)}; give palette or"
                f" label_map, {self.remedy}"
            )
        beyond = values[(values < 0) | (values > VOID)]
        if len(beyond):
            raise ValueError(
                "labels must hold classes in [0, 254] or 255 for void, got"
                f" {self._example(beyond[0])}; give label_map, such as"
                f" {{{beyond[0]}: 255}} and all classes, {self.remedy}"
            )
        self._refuse_smoothed()
        classes = values[values < VOID]
        count = int(classes.max(initial=0)) + 1
        if count < 2:
            raise_faults(self.faults)
            if not len(values):
                raise ValueError(
                    "labels must hold at least 2 classes, got no label; give"
                    f" num_classes or class_names, {self.remedy}"
                )
            raise ValueError(
                f"labels must hold at least 2 classes, got the values {values.tolist()}"
                f", where 255 is void, in {self.files[0]} and all others; correct the"
                " files, or give num_classes if other images hold more classes,"
                f" {self.remedy}"
            )
        absent = [str(c) for c in range(count) if c not in classes]
        if absent:
            rank_zero_warn(self._gap_warning(count, absent))
        return count

    def _gap_warning(self, count: int, absent: Sequence[str]) -> str:
        """Return the warning of a number of classes, some of which no label holds.

        The largest class is likely a mistake if it has less than a thousandth of the
        pixels, or if most classes below it are absent.
        """
        largest = count - 1
        column = self.values == largest
        pixels = int(self.pixels[column].sum())
        files = int(self.present[:, column].any(axis=1).sum())
        rare = 1000 * pixels < self.pixels.sum() or 2 * len(absent) > count
        remedy = "give num_classes if that is wrong"
        if rare:
            remedy = (
                "that is likely a mistake: correct the file, or give num_classes,"
                f" {self.remedy}"
            )
        return (
            f"num_classes is {count}, by {self._example(largest)} ({pixels}"
            f" pixel{'s' * (pixels > 1)} in {files} of {len(self.files)} labels), but"
            f" no label holds {', '.join(absent[:10])}; {remedy}"
        )

    def _refuse_smoothed(self) -> None:
        """Raise a ValueError if the files look like smoothed masks of 0 and 255."""
        ends = np.isin(self.values, (0, VOID))
        between = self.values[~ends]
        bright = VOID in self.values and between.max(initial=0) > VOID // 2
        most = self.pixels[ends].sum() > self.pixels.sum() / 2
        if bright and most and len(between) > _STEPS:
            raise ValueError(
                f"labels must not be smoothed, got 0, 255 and {len(between)} values"
                f" between, such as {self._example(between[0])}; resize masks by their"
                f" nearest neighbor, or give num_classes or label_map, {self.remedy}"
            )

    def _example(self, value: int) -> str:
        """Return a value and the name of a file that contains it."""
        with_value = self.present[:, self.values == value].any(axis=1)
        return f"{format_value(int(value))} in {self.files[int(with_value.argmax())]}"


def _are_stretched(values: Sequence[NDArray[np.int64]]) -> bool:
    """Return whether files of few bits stand for their 8-bit values.

    True if files of 8 bits hold these values, but not the small numbers.

    Args:
        values: Raw values of each file.
    """
    stacked = np.unique(np.concatenate([np.empty(0, np.int64), *values]))
    few = stacked[stacked >= FEW_BITS]
    few = few[few & 0xFF > 0]
    full = numbers_of(stacked[stacked < FEW_BITS])
    large = bool(np.isin(stretched(few), full).all())
    return len(few) > 0 and large and not np.isin(few & 0xFF, full).all()


def _merge(
    values: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each value once, with the sum of its pixels."""
    unique, inverse = np.unique(values, return_inverse=True)
    return unique, np.bincount(inverse, pixels, len(unique)).astype(np.int64)
