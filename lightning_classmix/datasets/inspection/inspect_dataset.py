"""Inspect a dataset: read every file once, count classes, list faults."""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.inspection.class_statistics import (
    ClassStatistics,
    count_classes,
)
from lightning_classmix.datasets.inspection.file_checks import label_warnings
from lightning_classmix.datasets.inspection.file_records import (
    FileRecord,
    label_counts,
    read_records,
)
from lightning_classmix.datasets.inspection.label_counts import LabelCounts
from lightning_classmix.datasets.labels.class_info import ClassTable
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.labels.palette_conflicts import palette_conflicts
from lightning_classmix.datasets.pixel_range import range_warning
from lightning_classmix.ops import VOID

_SETS = ("labeled", "unlabeled", "val", "test")


class InspectedData(Protocol):
    """The part of `FileDataModule` that the inspection uses."""

    split: str | None

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Pixel values that become 0 and 1; None for those of the type."""
        ...

    @property
    def listed(self) -> Files:
        """Files of each set, and their faults."""
        ...

    def class_table(self, counts: Mapping[str, LabelCounts]) -> ClassTable:
        """Return the classes, inferred from the label counts if necessary."""
        ...

    def choose(self, counts: Mapping[str, LabelCounts]) -> list[int]:
        """Return the indices of the labeled images that keep their labels."""
        ...


class Inspection(NamedTuple):
    """Content and faults of a dataset."""

    records: dict[str, list[FileRecord]]
    """Every image, by ``labeled``, ``unlabeled``, ``val`` and ``test``."""
    class_names: Sequence[str]
    """Names of the classes; empty if the classes are unknown."""
    classes: dict[str, ClassStatistics]
    """Classes in the labels of each set; empty if the classes are unknown."""
    duplicates: list[list[tuple[str, Path]]]
    """Groups of images with equal pixels: set and path of each."""
    faults: list[str]
    """Error messages, each with the name of a file."""
    warnings: list[str]
    """Warnings of the data module and of its labels."""


def inspect_dataset(data: InspectedData) -> Inspection:
    """Read every image and label of a data module once; faults do not stop it.

    Args:
        data: Data module that reads files.

    Raises:
        FileNotFoundError: If a folder or a list is missing.
        ValueError: If a folder or a list is empty.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        files = data.listed
        found = {name: getattr(files, name) for name in _SETS}
        sets = {name: part for name, part in found.items() if part is not None}
        records = {
            name: read_records(part, name, data.value_range)
            for name, part in sets.items()
        }
        labeled = {name: part for name, part in sets.items() if part.labels is not None}
        counts = {name: label_counts(records[name]) for name in labeled}
        faults = [*files.faults]
        for part in records.values():
            faults += [fault for record in part for fault in record.faults]

        table = _class_table(data, counts, faults)
        messages = image_warnings(records, data.value_range)
        if table is not None:
            for name, part in labeled.items():
                faults += _label_faults(records[name], part, table.label_map)
            messages += _label_warnings(records, labeled, table.label_map)
        records = _divide_labeled(data, counts, records, faults)
    classes: dict[str, ClassStatistics] = {}
    if table is not None:
        for name in labeled:
            label_map, num_classes = table.label_map, table.num_classes
            classes[name] = count_classes(records[name], label_map, num_classes)
    return Inspection(
        records,
        table.names() if table else [],
        classes,
        _duplicates(records),
        faults,
        [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
        + messages,
    )


def image_warnings(
    records: Mapping[str, Sequence[FileRecord]],
    value_range: tuple[float, float] | None,
) -> list[str]:
    """Return warnings of dropped channels, and of 16-bit images with few levels."""
    messages = []
    images = [record for part in records.values() for record in part]
    dropped = [record for record in images if record.dropped]
    if dropped:
        first = dropped[0]
        messages.append(
            f"{len(dropped)} images have channels that are dropped, such as"
            f" {first.channels} in {first.path}; in_channels reads all of them"
        )
    if value_range is None:
        largest = [(r.largest, r.path) for r in images if r.largest is not None]
        warning = range_warning(largest)
        messages += [warning] if warning else []
    return messages


def _class_table(
    data: InspectedData, counts: Mapping[str, LabelCounts], faults: list[str]
) -> ClassTable | None:
    """Return the classes; None, and a further fault, if they are unknown."""
    try:
        return data.class_table(counts)
    except ValueError as error:
        faults += [fault for fault in str(error).splitlines() if fault not in faults]
        return None


def _label_faults(
    records: Sequence[FileRecord], files: ImageFiles, label_map: LabelMap
) -> list[str]:
    faults = []
    for record, path in zip(records, files.labels or (), strict=True):
        values, counts = record.counts
        classes = label_map.look_up(values)
        if (classes < 0).any():
            faults.append(label_map.fault(values, counts, path=path))
        elif len(classes) and (classes == VOID).all():
            faults.append(f"a label must hold a class, got nothing but void in {path}")
    values_by_file = label_counts(records).by_file(files)
    return faults + palette_conflicts(values_by_file, label_map)


def _label_warnings(
    records: Mapping[str, Sequence[FileRecord]],
    labeled: Mapping[str, ImageFiles],
    label_map: LabelMap,
) -> list[str]:
    """Return warnings of labels that may have been read wrongly."""
    classes = [
        (path, {*label_map.look_up(record.counts[0]).tolist()})
        for name, files in labeled.items()
        for record, path in zip(records[name], files.labels or (), strict=True)
        if len(record.counts[0])
    ]
    return label_warnings(classes, label_map)


def _divide_labeled(
    data: InspectedData,
    counts: Mapping[str, LabelCounts],
    records: dict[str, list[FileRecord]],
    faults: list[str],
) -> dict[str, list[FileRecord]]:
    """Move the images that do not keep their labels to the unlabeled images."""
    try:
        kept = {*data.choose(counts)}
    except (ValueError, OSError) as error:
        if data.split is not None or not faults:  # else the error repeats a fault
            faults.append(str(error))
        return records
    pool = records["labeled"]
    labeled = [record for index, record in enumerate(pool) if index in kept]
    rest = [record for index, record in enumerate(pool) if index not in kept]
    unlabeled = rest + records.get("unlabeled", [])
    return records | {"labeled": labeled, "unlabeled": unlabeled}


def _duplicates(
    records: Mapping[str, Sequence[FileRecord]],
) -> list[list[tuple[str, Path]]]:
    found: dict[bytes, list[tuple[str, Path]]] = defaultdict(list)
    for name, part in records.items():
        for record in part:
            if record.digest is not None:
                found[record.digest].append((name, record.path))
    return [group for group in found.values() if len(group) > 1]
