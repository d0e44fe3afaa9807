"""The command ``classmix check``: read a dataset and report its content and faults."""

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

from lightning_classmix.cli.console import printable
from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.inspection.class_statistics import ClassStatistics
from lightning_classmix.datasets.inspection.file_records import FileRecord
from lightning_classmix.datasets.inspection.inspect_dataset import (
    Inspection,
    inspect_dataset,
)

_FEW = 2  # classes per image with which ClassMix gains little
_SIZES = 5  # sizes listed in a line


def check(data: FileDataModule, json: bool = False, strict: bool = False) -> None:
    """Read every image and label once, and print counts, sizes, classes and faults.

    The exit status is 1 if there are faults.

    Args:
        data: Data module that reads files, such as FolderDataModule.
        json: Print the report as JSON instead of tables.
        strict: Exit with status 1 for warnings too.
    """
    data.prepare_data()
    data.resolve_value_range(data.listed.labeled)
    inspection = inspect_dataset(data)
    report = summary(inspection) | {"warnings": find_warnings(data, inspection)}
    if json:
        sys.stdout.write(json_format.dumps(report, indent=2) + "\n")
    else:
        _print(report)
    if report["faults"] or (strict and report["warnings"]):
        raise SystemExit(1)


def masks(classes: int) -> int:
    """Return the number of different masks that ClassMix can draw for an image.

    Example:
        >>> [masks(n) for n in (1, 2, 3, 10)]
        [1, 2, 3, 252]
    """
    return comb(classes, classes // 2)


def summary(inspection: Inspection) -> dict[str, Any]:
    """Return the results of an inspection as plain values."""
    records, classes = inspection.records, inspection.classes
    per_image = classes["labeled"].per_image if "labeled" in classes else Counter[int]()
    return {
        "images": {name: len(items) for name, items in records.items()},
        "sizes": {name: _sizes(items) for name, items in records.items()},
        "channels": {
            name: dict(Counter(item.channels for item in items if item.channels))
            for name, items in records.items()
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


def _sizes(items: Sequence[FileRecord]) -> dict[str, int]:
    sizes = Counter(item.size for item in items if item.size is not None)
    return {f"{h} x {w}": count for (h, w), count in sizes.most_common()}


def _shares(
    names: Sequence[str], counts: ClassStatistics
) -> dict[str, dict[str, float | int]]:
    total = max(1, int(counts.pixels.sum()))
    return {
        name: {"share": int(pixels) / total, "images": int(images)}
        for name, pixels, images in zip(
            names, counts.pixels, counts.images, strict=True
        )
    }


def find_warnings(data: FileDataModule, inspection: Inspection) -> list[str]:
    """Return warnings: no faults, but they may harm the training or its score."""
    records, messages = inspection.records, [*inspection.warnings]
    if len(records.get("unlabeled", ())) < 2:
        messages.append("there are fewer than 2 unlabeled images: ClassMix needs more")
    sizes = {
        item.size for part in ("labeled", "unlabeled") for item in records.get(part, ())
    }
    if len(sizes - {None}) > 1 and data.crop is None and data.size is None:
        messages.append("training images differ in size: give crop or size")
    messages += _leaks(inspection.duplicates)
    if "labeled" not in inspection.classes:
        return messages
    found = inspection.classes["labeled"]
    named = zip(inspection.class_names, found.images, strict=True)
    absent = [name for name, images in named if not images]
    if absent:
        messages.append(
            f"no labeled image holds {', '.join(absent)}: it cannot be learned"
        )
    held = median([*found.per_image.elements()] or [0])
    if held <= _FEW:
        messages.append(
            f"classes in a labeled image: {held:g} in the median; ClassMix chooses from"
            f" so few masks ({masks(int(held))}) for such an image, and gains less"
            " (its authors' explanation for their small gain on Pascal VOC)"
        )
    return messages


def _leaks(duplicates: Sequence[Sequence[tuple[str, Path]]]) -> list[str]:
    groups: dict[tuple[str, ...], list[Sequence[tuple[str, Path]]]] = defaultdict(list)
    for group in duplicates:
        groups[tuple(dict.fromkeys(name for name, _ in group))].append(group)
    messages = []
    for parts, found in groups.items():
        where = " and ".join(parts) if len(parts) > 1 else f"{parts[0]} more than once"
        messages.append(
            f"{len(found)} image{'s are' if len(found) > 1 else ' is'} in {where}, such"
            f" as {' and '.join(str(path) for _, path in found[0][:2])}"
        )
        if len(parts) > 1 and {"val", "test"} & {*parts}:
            messages[-1] += ": leakage, scores will be too high"
    return messages


def _print(report: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = Table("", "images", "height x width", "channels", box=None)
    for name, count in report["images"].items():
        sizes, channels = report["sizes"][name], report["channels"][name]
        table.add_row(name, str(count), _listed(sizes), _listed(channels))
    console.print(table)
    if report["classes"]:
        console.print()
        console.print(_class_table(report))
        console.print()
        per_image = Table("classes in a labeled image", "images", "masks", box=None)
        for row in report["classes_per_image"]:
            per_image.add_row(*(str(row[k]) for k in ("classes", "images", "masks")))
        console.print(per_image)
    for kind in ("warnings", "faults"):
        found = report[kind]
        console.print(f"\n{len(found)} {kind if len(found) != 1 else kind[:-1]}")
        for line in found:
            console.print(f"  {printable(line)}")


def _class_table(report: dict[str, Any]) -> Table:
    parts = [*report["classes"]]
    table = Table("class", *(f"{p}: {k}" for p in parts for k in ("share", "images")))
    table.box = None
    for name in report["classes"][parts[0]]:
        found = [report["classes"][part][name] for part in parts]
        cells = [(f"{row['share']:.2%}", str(row["images"])) for row in found]
        table.add_row(printable(name), *(cell for pair in cells for cell in pair))
    void = [(f"{report['void_share'][part]:.2%}", "") for part in parts]
    table.add_row("void (of all pixels)", *(cell for pair in void for cell in pair))
    return table


def _listed(counts: dict[str, int]) -> str:
    first = [f"{name} ({count})" for name, count in [*counts.items()][:_SIZES]]
    more = len(counts) - len(first)
    return ", ".join(first) + (f" and {more} others" if more else "")
