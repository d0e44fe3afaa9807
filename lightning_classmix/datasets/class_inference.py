"""Infer the number of classes from the values in label files."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.label_counts import LabelCounts, stack_counts
from lightning_classmix.datasets.label_map import COLOR, format_value, gray_of
from lightning_classmix.ops import VOID

_STEPS = 2  # values between 0 and 255 that masks may contain without being smoothed


class LabelValues:
    """The values in label files; gray colors count as their gray value.

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
        rows = []
        self.files: list[Path] = []
        self.faults = [*faults]
        self.remedy = remedy
        for files, counts in counted:
            self.files += files.labels or ()
            self.faults += counts.faults
            values = gray_of(counts.values)
            rows += [(values[row > 0], row[row > 0]) for row in counts.counts]
        stacked = stack_counts(rows)
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
                f"labels of colors must have a table, got {self._example(colors[0])};"
                f" give palette or label_map, {self.remedy}"
            )
        beyond = values[(values > VOID) & (values < COLOR)]
        if len(beyond):
            raise ValueError(
                "labels must hold classes in [0, 254] or 255 for void, got"
                f" {self._example(beyond[0])}; give label_map, {self.remedy}"
            )
        self._refuse_smoothed()
        classes = values[values < VOID]
        count = int(classes.max(initial=0)) + 1
        if count < 2:
            raise_faults(self.faults)
            got = "no label"
            if self.files:
                got = f"the values {values.tolist()}, where 255 is void"
            raise ValueError(
                f"labels must hold at least 2 classes, got {got}; give num_classes or"
                f" class_names, {self.remedy}"
            )
        absent = [str(c) for c in range(count) if c not in classes]
        if absent:
            rank_zero_warn(
                f"num_classes is {count}, by {self._example(classes.max())}, but no"
                f" label holds {', '.join(absent[:10])}; give num_classes if that is"
                " wrong"
            )
        return count

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
