"""Inspect a dataset: read every file once, count classes, list faults."""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.file_checks import (
    LabelFacts,
    background_only_warning,
    gather,
    parallel_map,
)
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import read_image
from lightning_classmix.datasets.label_map import LabelMap, count_values
from lightning_classmix.ops import VOID


class FileData(Protocol):
    """What the inspection reads of a data module over files."""

    known_facts: dict[str, LabelFacts]
    split: str | None

    @property
    def listed(self) -> Files:
        """The files, whatever faults were met."""
        ...

    @property
    def classes(self) -> LabelMap:
        """What the raw values of the label files mean."""
        ...

    @property
    def num_classes(self) -> int | None:
        """Number of classes, C."""
        ...

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes."""
        ...

    def choose(self) -> list[int]:
        """Return which of the labeled images keep their labels."""
        ...


class Seen(NamedTuple):
    """What one image and its label look like; None where they cannot be read."""

    path: Path
    size: tuple[int, int] | None
    """Height and width, upright."""
    channels: str | None
    """Pillow's name of how the file holds them."""
    digest: bytes | None
    """Hash of the upright RGB pixels."""
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Raw values of the label, and pixels of each."""
    faults: list[str]


class ClassCounts(NamedTuple):
    """What a set of labels holds; C is the number of classes."""

    pixels: NDArray[np.int64]
    """Pixels of each class, ``(C,)``."""
    images: NDArray[np.int64]
    """Images with each class, ``(C,)``."""
    void: int
    """Pixels of void."""
    per_image: Counter[int]
    """Images by the number of classes in them."""


class Inspection(NamedTuple):
    """What there is in a data set, and what is wrong with it."""

    seen: dict[str, list[Seen]]
    """Every image, by ``labeled``, ``unlabeled``, ``val`` and ``test``."""
    class_names: Sequence[str]
    classes: dict[str, ClassCounts]
    """What the labels of each labeled part hold; nothing if they tell no classes."""
    duplicates: list[list[tuple[str, Path]]]
    """Images of the same pixels, each with its part."""
    faults: list[str]
    background_only: list[str]
    """Labels of nothing but class 0 and void."""
    warnings: list[str]
    """What the data module itself warns of."""


def inspect(data: FileData) -> Inspection:
    """Read every image and label of a data module, whatever faults are met.

    Raises:
        FileNotFoundError: If a folder or a list is missing.
        ValueError: If a folder or a list is empty.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen, faults, parts = _read(data)
        names, label_map = _classes(data, faults)
        if label_map is not None:
            for name, files in parts.items():
                faults += _label_faults(seen[name], files, label_map)
        background_only = (
            []
            if label_map is None
            else _background_only_warnings(seen, parts, label_map)
        )
        seen = _dealt_out(data, seen, faults)
    caught_warnings = [
        str(one.message) for one in caught if issubclass(one.category, UserWarning)
    ]
    classes: dict[str, ClassCounts] = {}
    if label_map is not None:
        labeled = [name for name in ("labeled", "val", "test") if name in seen]
        classes |= {n: _count(seen[n], label_map, len(names)) for n in labeled}
    return Inspection(
        seen,
        names,
        classes,
        _duplicates(seen),
        faults,
        background_only,
        caught_warnings,
    )


def _read(
    data: FileData,
) -> tuple[dict[str, list[Seen]], list[str], dict[str, ImageFiles]]:
    """Read all files; return what they look like, the faults, and the labeled parts.

    The data module learns what the labels hold, so that they are read only once.
    """
    files, seen, parts = data.listed, {}, {}
    faults = [*files.faults]
    for name in ("labeled", "unlabeled", "val", "test"):
        part: ImageFiles | None = getattr(files, name)
        if part is None:
            continue
        seen[name] = _look_at(part, name)
        faults += [fault for one in seen[name] for fault in one.faults]
        if part.labels is not None:
            data.known_facts[name] = gather([one.counts for one in seen[name]])
            parts[name] = part
    return seen, faults, parts


def _look_at(files: ImageFiles, name: str) -> list[Seen]:
    def look(index: int) -> Seen:
        path, faults = files.images[index], list[str]()
        size = channels = digest = None
        counts = (np.empty(0, np.int64), np.empty(0, np.int64))
        try:
            image = read_image(path)
            with Image.open(path) as raw:
                channels = raw.mode
            size = (image.height, image.width)
            pixels = repr(size).encode() + image.tobytes()
            digest = hashlib.blake2b(pixels, digest_size=16).digest()
        except (ValueError, OSError) as error:
            faults.append(str(error))
        try:
            if files.labels is not None:
                label = files.raw_label(index)
                counts = count_values(label)
                if size is not None:
                    files.check_size(index, size[::-1], label.shape)
        except (ValueError, OSError) as error:
            faults.append(str(error))
        return Seen(path, size, channels, digest, counts, faults)

    return parallel_map(look, range(len(files)), f"Reading {name}")


def _classes(
    data: FileData, faults: list[str]
) -> tuple[Sequence[str], LabelMap | None]:
    """Return the class names and the label map, None if there is none."""
    try:
        label_map, count = data.classes, data.num_classes or 0
    except ValueError as error:
        faults += [fault for fault in str(error).splitlines() if fault not in faults]
        return [], None
    return data.class_names or [str(label) for label in range(count)], label_map


def _label_faults(
    seen: Sequence[Seen], files: ImageFiles, label_map: LabelMap
) -> list[str]:
    faults = []
    for one, path in zip(seen, files.labels or (), strict=True):
        values, counts = one.counts
        classes = label_map.look_up(values)
        if (classes < 0).any():
            faults.append(label_map.fault(values, counts, path=path))
        elif len(classes) and (classes == VOID).all():
            faults.append(f"a label must hold a class, got nothing but void in {path}")
    return faults


def _background_only_warnings(
    seen: Mapping[str, Sequence[Seen]],
    parts: Mapping[str, ImageFiles],
    label_map: LabelMap,
) -> list[str]:
    if not label_map.may_hide_a_class:
        return []
    found = [
        path
        for name, files in parts.items()
        for one, path in zip(seen[name], files.labels or (), strict=True)
        if {*label_map.look_up(one.counts[0]).tolist()} == {0, VOID}
    ]
    return [background_only_warning(len(found), found[0])] if found else []


def _dealt_out(
    data: FileData, seen: dict[str, list[Seen]], faults: list[str]
) -> dict[str, list[Seen]]:
    """Move the images that do not keep their labels to the unlabeled ones."""
    try:
        kept = {*data.choose()}
    except (ValueError, OSError) as error:
        if data.split is not None or not faults:  # else it is one of these
            faults.append(str(error))
        return seen
    both: tuple[list[Seen], list[Seen]] = ([], [])
    for index, one in enumerate(seen["labeled"]):
        both[index in kept].append(one)
    rest, labeled = both
    unlabeled = rest + seen.get("unlabeled", [])
    return seen | {"labeled": labeled, "unlabeled": unlabeled}


def _count(seen: Sequence[Seen], label_map: LabelMap, num_classes: int) -> ClassCounts:
    pixels, images = np.zeros((2, VOID + 1), np.int64)
    per_image: Counter[int] = Counter()
    for one in seen:
        values, counts = one.counts
        classes = label_map.look_up(values)
        inside = classes >= 0
        np.add.at(pixels, classes[inside], counts[inside])
        held = {*classes[inside].tolist()} - {VOID}
        images[list(held)] += 1
        if len(values):
            per_image[len(held)] += 1
    return ClassCounts(
        pixels[:num_classes], images[:num_classes], int(pixels[VOID]), per_image
    )


def _duplicates(seen: dict[str, list[Seen]]) -> list[list[tuple[str, Path]]]:
    found: dict[bytes, list[tuple[str, Path]]] = defaultdict(list)
    for name, items in seen.items():
        for one in items:
            if one.digest is not None:
                found[one.digest].append((name, one.path))
    return [group for group in found.values() if len(group) > 1]
