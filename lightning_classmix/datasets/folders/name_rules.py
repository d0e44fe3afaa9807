"""How the names of images and labels differ, in one folder or in two."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lightning_classmix.datasets.image_io import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    list_images,
    stem,
)
from lightning_classmix.datasets.paths import Paths

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of folders of each part."""
UNLABELED = ("unlabeled", "unlabelled")
"""Names of folders of images without labels."""
_LABEL_WORD = (
    "masks?|seg|segmentation|labels?|gt|ground_?truth|annotations?|matte|labelids|l"
)
_IMAGE_WORD = "image|img|sat|rgb|leftimg8bit"
_TRIED = 8


class FolderPair(NamedTuple):
    """Where images and their labels are, and how their names differ."""

    images: Path
    """Folder of the images."""
    labels: Path
    """Folder of the labels, perhaps the same."""
    prefix: str = ""
    """What a label's file name has before that of its image."""
    suffix: str = ""
    """What the stem of a label has after that of its image."""
    image_suffix: str = ""
    """What the stem of an image has after the common part."""

    def label_name(self, name: str) -> str | None:
        """Return the common part of a label's name; None if it is not of a label."""
        folder, _, last = name.rpartition("/")
        if not (last.startswith(self.prefix) and last.endswith(self.suffix)):
            return None
        common = last[len(self.prefix) : len(last) - len(self.suffix)]
        return f"{folder}/{common}" if folder else common

    def image_name(self, name: str) -> str:
        """Return the common part of an image's name."""
        return name.removesuffix(self.image_suffix)

    def image_paths(self) -> Paths:
        """Return the images, without labels that are in the same folder."""
        paths = _own_files(self.images)
        if self.images == self.labels:
            names = [stem(path, self.images) for path in paths.strings()]
            return paths.take(
                i for i, name in enumerate(names) if self.label_name(name) is None
            )
        if self.labels.is_relative_to(self.images):
            inside = f"{self.labels}{os.sep}"
            others = [path for path in paths.strings() if not path.startswith(inside)]
            return Paths(others)
        return paths

    def label_paths(self) -> Paths:
        """Return the labels, without images that are in the same folder."""
        if self.images != self.labels:
            return list_images(self.labels)
        paths = _own_files(self.labels)
        names = [stem(path, self.labels) for path in paths.strings()]
        return paths.take(
            i for i, name in enumerate(names) if self.label_name(name) is not None
        )

    def label_path(self, name: str) -> Path:
        """Return where the label of an image is expected, by their common name."""
        folder, _, last = name.rpartition("/")
        return self.labels / folder / f"{self.prefix}{last}{self.suffix}.png"

    def __str__(self) -> str:
        """Return the folders as messages name them."""
        names = {self.prefix: "begin with", self.suffix: "end with"}
        names.pop("", None)
        text = "".join(f", whose names {how} {what!r}" for what, how in names.items())
        return f"images in {self.images}, labels in {self.labels}{text}"


def compare_names(images: Path, labels: Path, suffix: str | None) -> FolderPair | None:
    """Return the folders of images and labels, with the difference of their names.

    Args:
        images: Folder of the images.
        labels: Folder of the labels, perhaps the same.
        suffix: End of the stem of every label after that of its image; None finds it.

    Returns:
        The folders; None for one folder in which no labels are recognized.

    Raises:
        ValueError: If several suffixes are found.
    """
    pair = FolderPair(images, labels)
    if suffix is not None:
        return pair._replace(suffix=suffix)
    paths = _own_files(labels) if images == labels else list_images(labels)
    names = [stem(path, labels) for path in paths.strings()]
    if images == labels:
        lossless = [n.lower().endswith(LABEL_SUFFIXES) for n in paths.strings()]
        candidates = [n for n, good in zip(names, lossless, strict=True) if good]
        found = _find_affixes(pair, candidates, {*names})
        return found or _find_affixes(pair, names, {*names})
    if any(_has_image(images / name) for name in islice(names, _TRIED)):
        return pair
    present = {stem(path, images) for path in list_images(images).strings()}
    if not present.isdisjoint(names):
        return pair
    return _find_affixes(pair, names, present) or pair


def _own_files(folder: Path) -> Paths:
    """Return the images of a folder without those of other parts in folders in it."""
    others = {*UNLABELED, *(word for words in SPLITS.values() for word in words)}
    paths = list_images(folder)
    first = (stem(path, folder).partition("/") for path in paths.strings())
    own = [not (inside and name.lower() in others) for name, inside, _ in first]
    return paths if all(own) else paths.take(i for i, mine in enumerate(own) if mine)


def _find_affixes(
    pair: FolderPair, labels: Iterable[str], images: set[str]
) -> FolderPair | None:
    """Return the folders with the prefix or suffix that turns labels into images."""
    affixes: Counter[tuple[str, str]] = Counter()
    for name in labels:
        last = name.rpartition("/")[2]
        behind = re.search(rf"(?i)[-_. ]({_LABEL_WORD})$", last)
        before = re.match(rf"(?i)({_LABEL_WORD})[-_. ]", last)
        if behind:
            affixes["", behind[0]] += 1
        elif before:
            affixes[before[0], ""] += 1
    ends = {m[0] for n in images if (m := re.search(rf"(?i)[-_. ]({_IMAGE_WORD})$", n))}
    fitting = []
    for prefix, suffix in affixes:
        for end in ("", *sorted(ends)):
            tried = pair._replace(prefix=prefix, suffix=suffix, image_suffix=end)
            common = {tried.label_name(name) for name in labels} - {None}
            if any(f"{name}{end}" in images for name in common):
                fitting.append(tried)
                break
    if len(fitting) > 1:
        found = ", ".join(sorted(each.prefix or each.suffix for each in fitting))
        raise ValueError(
            f"labels in {pair.labels} must have one prefix or suffix, got {found};"
            " give label_suffix"
        )
    return fitting[0] if fitting else None


def _has_image(path: Path) -> bool:
    return any(os.path.isfile(f"{path}{suffix}") for suffix in IMAGE_SUFFIXES)
