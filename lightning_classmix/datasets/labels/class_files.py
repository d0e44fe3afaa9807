"""Find class names and colors in the files that a dataset comes with."""

import csv
from pathlib import Path

from lightning_classmix.datasets.labels.class_info import Classes, read_classes
from lightning_classmix.datasets.labels.labelmap_txt import (
    BORDER,
    LABELMAP_FILE,
    read_labelmap,
)
from lightning_classmix.ops import VOID

CLASSES_FILE = "classes.yaml"
_CSV_FILE = "_classes.csv"


def find_classes(root: Path) -> tuple[Path, Classes]:
    """Return the file of the classes of a folder, and its content.

    It is ``classes.yaml``, ``labelmap.txt`` of annotation tools, or ``_classes.csv`` of
    Roboflow, also in ``train``; without any, ``classes.yaml`` without content.
    """
    readers = {
        CLASSES_FILE: read_classes,
        "classes.yml": read_classes,
        LABELMAP_FILE: _from_labelmap,
        _CSV_FILE: _from_csv,
        f"train/{_CSV_FILE}": _from_csv,
    }
    for name, read in readers.items():
        if (root / name).is_file():
            return root / name, read(root / name)
    return root / CLASSES_FILE, Classes()


def _from_labelmap(path: Path) -> Classes:
    colors = read_labelmap(path)
    label_map: dict[int | str, int] = {
        "#" + bytes(color).hex(): index for index, color in enumerate(colors.values())
    }
    label_map.setdefault("#" + bytes(BORDER).hex(), VOID)
    return Classes([*colors], [*colors.values()], label_map)


def _from_csv(path: Path) -> Classes:
    """Read ``value, name`` on each line, below a header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    names = {}
    for row in rows[1:]:
        if len(row) < 2 or not row[0].isdigit():
            raise ValueError(f"a line must be value, name, got {row} in {path}")
        names[int(row[0])] = row[1]
    if [*names] == [*range(len(names))]:
        return Classes([*names.values()])
    label_map: dict[int | str, int] = {value: i for i, value in enumerate(names)}
    label_map.setdefault(VOID, VOID)
    return Classes([*names.values()], None, label_map)
