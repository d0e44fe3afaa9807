"""The command ``classmix check``: read a data set before anything is trained on it."""

import json as json_format
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.inspection import (
    ClassCounts,
    Inspection,
    Seen,
    inspect,
)

_FEW = 2  # classes an image of which ClassMix gains little
_SIZES = 5  # sizes that a line lists


def check(data: FileDataModule, json: bool = False, strict: bool = False) -> None:
    """Read every image and label once, and tell what they hold and what is wrong.

    The exit status is 1 if there are faults.

    Args:
        data: Data module over files, such as FolderDataModule.
        json: Print JSON, for programs.
        strict: Let warnings count as faults.
    """
    data.prepare_data()
    inspection = inspect(data)
    told = summary(inspection) | {"warnings": find_warnings(data, inspection)}
    if json:
        sys.stdout.write(json_format.dumps(told, indent=2) + "\n")
    else:
        _print(told)
    if told["faults"] or (strict and told["warnings"]):
        raise SystemExit(1)


def masks(classes: int) -> int:
    """Return how many different masks ClassMix may draw for an image.

    Example:
        >>> [masks(n) for n in (1, 2, 3, 10)]
        [1, 2, 3, 252]
    """
    return comb(classes, classes // 2)


def summary(inspection: Inspection) -> dict[str, Any]:
    """Return what an inspection found as plain values."""
    seen, classes = inspection.seen, inspection.classes
    per_image = classes["labeled"].per_image if "labeled" in classes else Counter[int]()
    return {
        "images": {name: len(items) for name, items in seen.items()},
        "sizes": {name: _sizes(items) for name, items in seen.items()},
        "channels": {
            name: dict(Counter(one.channels for one in items if one.channels))
            for name, items in seen.items()
        },
        "classes": {
            name: _shares(inspection.class_names, counts)
            for name, counts in classes.items()
        },
        "void_share": {
            name: counts.void / max(1, counts.void + int(counts.pixels.sum()))
            for name, counts in classes.items()
        },
        "classes_per_image": [
            {"classes": n, "images": per_image[n], "masks": masks(n)}
            for n in sorted(per_image)
        ],
        "duplicates": [
            [{"part": name, "file": str(path)} for name, path in group]
            for group in inspection.duplicates
        ],
        "faults": inspection.faults,
    }


def _sizes(items: Sequence[Seen]) -> dict[str, int]:
    sizes = Counter(one.size for one in items if one.size is not None)
    return {f"{h} x {w}": count for (h, w), count in sizes.most_common()}


def _shares(
    names: Sequence[str], counts: ClassCounts
) -> dict[str, dict[str, float | int]]:
    total = max(1, int(counts.pixels.sum()))
    return {
        name: {"share": int(pixels) / total, "images": int(images)}
        for name, pixels, images in zip(
            names, counts.pixels, counts.images, strict=True
        )
    }


def find_warnings(data: FileDataModule, inspection: Inspection) -> list[str]:
    """Return what is no fault, and may still spoil a training or its score."""
    seen, told = inspection.seen, [*inspection.warnings]
    if len(seen.get("unlabeled", ())) < 2:
        told.append("there are fewer than 2 unlabeled images: ClassMix needs more")
    sizes = {one.size for n in ("labeled", "unlabeled") for one in seen.get(n, ())}
    if len(sizes - {None}) > 1 and data.crop is None and data.size is None:
        told.append("training images differ in size: give crop or size")
    told += _leaks(inspection.duplicates)
    told += inspection.hollow
    if "labeled" not in inspection.classes:
        return told
    found = inspection.classes["labeled"]
    named = zip(inspection.class_names, found.images, strict=True)
    absent = [name for name, images in named if not images]
    if absent:
        told.append(f"no labeled image holds {', '.join(absent)}: that is not learned")
    held = median([*found.per_image.elements()] or [0])
    if held <= _FEW:
        told.append(
            f"the labeled images hold {held:g} classes in the median: ClassMix has"
            f" {masks(int(held))} different masks to draw for such an image, and gains"
            " less (so its authors explain what it gains on Pascal VOC)"
        )
    return told


def _leaks(duplicates: Sequence[Sequence[tuple[str, Path]]]) -> list[str]:
    groups: dict[tuple[str, ...], list[Sequence[tuple[str, Path]]]] = defaultdict(list)
    for group in duplicates:
        groups[tuple(dict.fromkeys(name for name, _ in group))].append(group)
    told = []
    for parts, found in groups.items():
        where = " and ".join(parts) if len(parts) > 1 else f"{parts[0]} more than once"
        told.append(
            f"{len(found)} image{'s are' if len(found) > 1 else ' is'} in {where}, such"
            f" as {' and '.join(str(path) for _, path in found[0][:2])}"
        )
        if len(parts) > 1 and {"val", "test"} & {*parts}:
            told[-1] += ": leakage, scores come out too good"
    return told


def _print(told: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = Table("", "images", "height x width", "channels", box=None)
    for name, count in told["images"].items():
        sizes, channels = told["sizes"][name], told["channels"][name]
        table.add_row(name, str(count), _listed(sizes), _listed(channels))
    console.print(table)
    if told["classes"]:
        console.print()
        console.print(_class_table(told))
        console.print()
        per_image = Table("classes in a labeled image", "images", "masks", box=None)
        for row in told["classes_per_image"]:
            per_image.add_row(*(str(row[k]) for k in ("classes", "images", "masks")))
        console.print(per_image)
    for kind in ("warnings", "faults"):
        found = told[kind]
        console.print(f"\n{len(found)} {kind if len(found) != 1 else kind[:-1]}")
        for line in found:
            console.print(f"  {line}")


def _class_table(told: dict[str, Any]) -> Table:
    parts = [*told["classes"]]
    table = Table("class", *(f"{p}: {k}" for p in parts for k in ("share", "images")))
    table.box = None
    for name in told["classes"][parts[0]]:
        found = [told["classes"][part][name] for part in parts]
        cells = [(f"{one['share']:.2%}", str(one["images"])) for one in found]
        table.add_row(name, *(cell for pair in cells for cell in pair))
    void = [(f"{told['void_share'][part]:.2%}", "") for part in parts]
    table.add_row("void (of all pixels)", *(cell for pair in void for cell in pair))
    return table


def _listed(counts: dict[str, int]) -> str:
    first = [f"{name} ({count})" for name, count in [*counts.items()][:_SIZES]]
    more = len(counts) - len(first)
    return ", ".join(first) + (f" and {more} others" if more else "")
