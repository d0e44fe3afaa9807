"""Compare the palettes of label files."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.labels.raw_values import FEW_BITS, INDEXED


def palette_conflicts(
    labels: Iterable[tuple[Path, NDArray[np.int64]]], label_map: LabelMap
) -> list[str]:
    """Return a fault for each file whose palette contradicts that of another file.

    Only files that are read by their indices are compared, and only the indices that
    they use. An index whose color is the gray of the same number agrees with all, and
    so does a file in which indices share a color.

    Args:
        labels: Path and raw values, int64 ``(V,)``, of each label file.
        label_map: Class of each raw value.
    """
    faults = []
    colors: dict[int, tuple[int, Path]] = {}
    for path, values in labels:
        indexed = values[(values >= INDEXED) & (values < FEW_BITS)]
        if not len(indexed) or not label_map.uses_indices(indexed):
            continue
        if len({*(indexed & 0xFFFFFF).tolist()}) < len(indexed):
            continue
        for value in indexed.tolist():
            index, color = value >> 24 & 0xFF, value & 0xFFFFFF
            if color == index * 0x010101:
                continue
            first, other = colors.setdefault(index, (color, path))
            if color != first:
                faults.append(
                    f"palettes of labels must agree, got index {index} with color"
                    f" #{first:06x} in {other} and #{color:06x} in {path}; give palette"
                    " or a label_map of colors, or save the classes as gray images"
                )
                break
    return faults
