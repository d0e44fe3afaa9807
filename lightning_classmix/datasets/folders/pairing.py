"""Pair image files with label files, by name or by a list."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lightning_classmix.datasets.folders.list_reading import find_files, read_rows
from lightning_classmix.datasets.folders.name_rules import FolderPair
from lightning_classmix.datasets.folders.same_files import repeated_files
from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import (
    LABEL_SUFFIXES,
    list_images,
    raise_faults,
    stem,
)
from lightning_classmix.datasets.paths import Paths


def pair_up(images: Paths, pair: FolderPair) -> tuple[ImageFiles, list[str]]:
    """Find the label of every image: the file of the same name in the other folder.

    Names are compared without suffix, but with subfolders.

    Args:
        images: Paths of the images.
        pair: Folders of images and labels, and how their names differ.

    Returns:
        The pairs, and a fault for each image without a label, label without an image,
        images or labels with equal names, and label with lossy compression.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder holds no image.
    """
    by_name = _by_stem(images, pair.images)
    found = {pair.image_name(name): paths for name, paths in by_name.items()}
    by_name = _by_stem(pair.label_paths(), pair.labels)
    labels = {pair.label_name(n) or n: paths for n, paths in by_name.items()}
    faults = [*_lossy(path for paths in labels.values() for path in paths)]
    faults += _equal_names("images", found) + _equal_names("labels", labels)
    faults += [
        f"an image must have a label, got {paths[0]} without {pair.label_path(name)}"
        for name, paths in found.items()
        if name not in labels
    ]
    faults += [
        f"a label must have an image, got {paths[0]} without {pair.images / name}"
        f"{pair.image_suffix}.*"
        for name, paths in labels.items()
        if name not in found
    ]
    pairs = {
        paths[0]: labels[name][0]
        for name, paths in found.items()
        if len(paths) == len(labels.get(name, ())) == 1
        and labels[name][0].lower().endswith(LABEL_SUFFIXES)
    }
    return ImageFiles(pairs, pairs.values(), root=pair.images), faults


def read_list(path: Path, root: Path) -> tuple[ImageFiles, ImageFiles, list[str]]:
    """Read a list of images and their labels: ``image,label`` on each line.

    The label may be empty or missing. See `read_rows` for the forms of a list.

    Args:
        path: Path of the list, a CSV or text file.
        root: Folder that the names in the list are relative to.

    Returns:
        Labeled images, unlabeled images, and a fault for each file that is missing or
        listed twice, and for each label with lossy compression.

    Raises:
        FileNotFoundError: If there is no such list.
        ValueError: If the list names no image.
    """
    lines = read_rows(path)
    if not lines:
        raise ValueError(f"{path} must name images, one on each line, got none")
    rows = {
        os.path.join(root, image): label and os.path.join(root, label)
        for image, label in lines
    }
    faults = []
    repeated = set()
    if len(rows) < len(lines):
        faults = [
            f"an image must occur once in {path}, got {image} {count} times"
            for image, count in Counter(image for image, _ in lines).items()
            if count > 1
        ]
    names = [*rows, *filter(None, rows.values())]
    found = find_files(names)
    for image, first in repeated_files(found[i] for i in rows if i in found):
        also = f"{first} twice" if first == image else f"{first}, also as {image}"
        faults.append(f"an image must occur once in {path}, got {also}")
        repeated.add(image)
    missing = [name for name in dict.fromkeys(names) if name not in found]
    faults += [f"a file in {path} must exist, got no {name}" for name in missing]
    lossy = {*filter(_is_lossy, rows.values())}
    faults += [*_lossy(sorted(lossy))]
    broken = {*missing, *lossy}
    rows = {i: n for i, n in rows.items() if i not in broken and n not in broken}
    rows = {i: n for i, n in rows.items() if found[i] not in repeated}
    pairs = {found[image]: found[label] for image, label in rows.items() if label}
    alone = (found[image] for image, label in rows.items() if not label)
    return (
        ImageFiles(pairs, pairs.values(), root=root),
        ImageFiles(alone, root=root),
        faults,
    )


def _is_lossy(path: str) -> bool:
    return bool(path) and not path.lower().endswith(LABEL_SUFFIXES)


def _lossy(paths: Iterable[str]) -> Iterator[str]:
    return (
        f"a label must have the suffix {', '.join(LABEL_SUFFIXES)} (lossless), got"
        f" {path}"
        for path in paths
        if _is_lossy(path)
    )


def images_in(folder: Path) -> ImageFiles:
    """Return the images in a folder, to predict.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no image, or images that differ in their suffix only.
    """
    files = ImageFiles(list_images(folder), root=folder)
    raise_faults(_equal_names("images", _by_stem(files.images, folder)))
    return files


def without_labels(files: ImageFiles | None) -> ImageFiles | None:
    """Return images without their labels, to predict; None for None.

    Raises:
        ValueError: If images differ in their suffix only.
    """
    if files is None:
        return None
    raise_faults(_equal_names("images", _by_stem(files.images, files.root)))
    alone = ImageFiles(files.images, root=files.root)
    return alone.read_with(files.channels, files.max_pixels)


def _equal_names(kind: str, found: dict[str, list[str]]) -> list[str]:
    return [
        f"{kind} must have different names, got {' and '.join(paths)}"
        for paths in found.values()
        if len(paths) > 1
    ]


def _by_stem(paths: Paths, folder: Path) -> dict[str, list[str]]:
    """Return the files by their name in a folder, without suffix."""
    stems: dict[str, list[str]] = {}
    for path in paths.strings():
        stems.setdefault(stem(path, folder), []).append(path)
    return stems
