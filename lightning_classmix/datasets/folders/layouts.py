"""Recognize how a folder arranges images and labels."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from lightning.pytorch.utilities import rank_zero_info

from lightning_classmix.datasets.folders.name_rules import (
    SPLITS,
    UNLABELED,
    FolderPair,
    compare_names,
)
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES

_IMAGE_FOLDERS = ("images", "image", "imgs", "img")
_LABEL_FOLDERS = (
    *("labels", "label", "masks", "mask", "ann", "annotations", "annotation", "gt"),
    *("groundtruth", "ground_truth"),
)
_SHOWN = 8


class Layout(NamedTuple):
    """Places of the training images."""

    train: FolderPair
    unlabeled: Path | None
    """Folder of the images without labels."""
    undivided: FolderPair
    """Folders of all parts, if the parts are folders below; else those of training."""


def find_layout(
    root: Path,
    *,
    image_dir: str | None = None,
    label_dir: str | None = None,
    label_suffix: str | None = None,
) -> Layout:
    """Find the training images and their labels in a folder.

    Args:
        root: Folder of the dataset.
        image_dir: Folder of the training images, relative to ``root``; None searches
            for common names.
        label_dir: Folder of the label files of the training images, relative to
            ``root``; None searches for common names, and in the folder of the images.
        label_suffix: Text between the name of an image and the file suffix in the name
            of its label file, such as ``_mask``; None recognizes it.

    Raises:
        FileNotFoundError: If a given folder is missing.
        ValueError: If nothing is recognized; it says what the folder holds.
    """
    bases = [root, *_folders(root, SPLITS["train"])]
    if image_dir is not None or label_dir is not None:
        whole: FolderPair | None = _given_pair(root, image_dir, label_dir, label_suffix)
    else:
        whole = _find_pair(root, label_suffix, "train")
        for base in bases:
            whole = whole or _recognize_pair(base, label_suffix)
    if whole is None:
        fail_unknown(root)
    train = _below(whole, "train") or whole
    if train != whole:
        bases.append(whole.images)
    unlabeled = [folder for base in bases for folder in _folders(base, UNLABELED)]
    return Layout(train, next(iter(unlabeled), None), whole)


def find_part(
    root: Path,
    part: str,
    *,
    label_suffix: str | None = None,
    undivided: FolderPair | None = None,
) -> FolderPair | None:
    """Find the images and labels of ``val`` or ``test``; None if there are none.

    Args:
        root: Folder of the dataset.
        part: Name of the part.
        label_suffix: As for `find_layout`.
        undivided: Folders of all parts, below which the part is looked for too.

    Raises:
        ValueError: If there is a folder ``val`` and nothing in it is recognized.
    """
    pair = None if undivided is None else _below(undivided, part)
    pair = pair or _find_pair(root, label_suffix, part)
    for base in () if pair else _folders(root, SPLITS[part]):
        pair = _recognize_pair(base, label_suffix)
        if pair is None and part == "val":
            fail_unknown(base)
        if pair is None:
            rank_zero_info(
                f"{base} is not used: no labels are recognized in it; give it"
                " as predict to predict its images"
            )
    return pair


def _given_pair(
    root: Path, image_dir: str | None, label_dir: str | None, suffix: str | None
) -> FolderPair:
    if image_dir is not None:
        images = root / image_dir
    else:
        found = _with_images(root, _IMAGE_FOLDERS)
        images = found[0] if found else root
    around = [root, images.parent, images]
    candidates = [f for base in around for f in _with_images(base, _LABEL_FOLDERS)]
    if label_dir is not None:
        labels = root / label_dir
    else:
        labels = images if suffix or not candidates else candidates[0]
    for name, folder in (("image_dir", images), ("label_dir", labels)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{name} must be a folder, got {folder}")
    return compare_names(images, labels, suffix) or fail_unknown(images)


def _recognize_pair(base: Path, suffix: str | None) -> FolderPair | None:
    """Return the folders of one part in a folder; None if nothing is recognized."""
    pair = _find_pair(base, suffix)
    if pair is not None:
        return pair
    for folder in (*_with_images(base, _IMAGE_FOLDERS), base):
        if any(_image_files(folder)):
            return compare_names(folder, folder, suffix)
    return None


def _find_pair(base: Path, suffix: str | None, split: str = "") -> FolderPair | None:
    """Return two folders of the usual names, or of names such as ``train_images``."""
    images = _with_images(base, _tagged(_IMAGE_FOLDERS, split))
    labels = _with_images(base, _tagged(_LABEL_FOLDERS, split))
    if not images or not labels:
        return None
    ours = [folder for folder in labels if folder.name == "labels"]
    if len(labels) > 1 and not ours:
        names = ", ".join(folder.name for folder in labels)
        raise ValueError(
            f"the labels of {images[0]} must be in one folder, got {names}; give"
            " label_dir"
        )
    return compare_names(images[0], (ours or labels)[0], suffix)


def _tagged(names: Iterable[str], split: str) -> list[str]:
    """Return names with the words of a split before or after them."""
    if not split:
        return [*names]
    pairs = [(name, word) for name in names for word in SPLITS[split]]
    return [
        f"{first}{mark}{second}"
        for name, word in pairs
        for mark in "_-"
        for first, second in ((word, name), (name, word))
    ]


def _below(pair: FolderPair, split: str) -> FolderPair | None:
    """Return a split below the folders of images and labels.

    None unless all folders in that of the images are named after splits.
    """
    if pair.images == pair.labels or any(_image_files(pair.images)):
        return None
    known = {*UNLABELED, *(word for words in SPLITS.values() for word in words)}
    present = {path.name.lower() for path in pair.images.iterdir() if path.is_dir()}
    images = _folders(pair.images, SPLITS[split])
    labels = _folders(pair.labels, SPLITS[split])
    if not present <= known or not images or not labels:
        return None
    return pair._replace(images=images[0], labels=labels[0])


def _with_images(base: Path, names: Iterable[str]) -> list[Path]:
    """Return the folders of given names that hold images."""
    return [folder for folder in _folders(base, names) if _holds_images(folder)]


def _folders(base: Path, names: Iterable[str]) -> list[Path]:
    """Return the folders of given names in a folder, whatever their case."""
    present: dict[str, Path] = {}
    for path in sorted(base.iterdir()):
        if path.is_dir():
            present.setdefault(path.name.lower(), path)
    return [present[name] for name in names if name in present]


def _holds_images(folder: Path) -> bool:
    return any(
        name.lower().endswith(IMAGE_SUFFIXES)
        for _, _, names in os.walk(folder, followlinks=True)
        for name in names
    )


def _image_files(folder: Path) -> Iterator[str]:
    """Yield the images in a folder itself, not those in folders in it."""
    return (n for n in os.listdir(folder) if n.lower().endswith(IMAGE_SUFFIXES))


def fail_unknown(root: Path) -> NoReturn:
    """Raise a ValueError that says what a folder holds."""
    raise ValueError(
        f"images and their labels must be found in {root}, got {contents(root)}; give"
        " image_dir and label_dir, label_suffix for labels among the images, or"
        " train_list; classmix convert reads COCO, LabelMe and other annotations"
    )


def contents(folder: Path) -> str:
    """Return what a folder holds: numbers of files by suffix, also in its folders."""
    below = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    texts = []
    for current in below[: _SHOWN + 1]:
        suffixes = Counter(
            path.suffix.lower() or "no suffix"
            for path in current.iterdir()
            if path.is_file() and not path.name.startswith(".")
        )
        files = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(3))
        if current == folder:
            texts += [files] if files else []
        else:
            inside = sum(path.is_dir() for path in current.iterdir())
            folders = f"{inside} folders" if inside else ""
            described = ", ".join(filter(None, (files, folders))) or "empty"
            texts.append(f"{current.name}/ ({described})")
    if len(below) > _SHOWN + 1:
        texts.append(f"{len(below) - _SHOWN - 1} more folders")
    return ", ".join(texts) or "an empty folder"
