"""Read and write splits: published splits and list files of labeled images."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from lightning_classmix.atomic import atomic_file
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES

SPLIT_FILE = "split.txt"
"""File in the folder of a run that lists its labeled images."""

_LISTS = Path(str(resources.files("lightning_classmix") / "datasets/split_lists"))
_FILE = re.compile(
    rf"(.+?)({'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=[,\s]|$)", re.IGNORECASE
)


def named_splits(dataset: str) -> list[str]:
    """Return the names of the published splits of a dataset, such as ``unimatch/1_8``.

    Args:
        dataset: ``cityscapes`` or ``pascal_voc``.
    """
    folder = _LISTS / dataset
    files = sorted(folder.glob("*/*.txt"))
    return [path.relative_to(folder).with_suffix("").as_posix() for path in files]


def published_split(dataset: str, name: str) -> list[str]:
    """Return the labeled images of a published split, in its order.

    ``olsson2021/0`` and so on are permutations of all images, stored as indices: the
    first N are labeled. The ``unimatch/...`` splits hold the labeled images only.

    Args:
        dataset: ``cityscapes`` or ``pascal_voc``.
        name: Name from `named_splits`.

    Source:
        github.com/WilhelmT/ClassMix (its indices for Cityscapes refer to the order of a
        directory walk, here to the sorted list); github.com/LiheYoung/UniMatch.
    """
    lines = (_LISTS / dataset / f"{name}.txt").read_text().split()
    if not all(line.isdecimal() for line in lines):
        return lines
    names = training_names(dataset)
    return [names[int(line)] for line in lines]


def training_names(dataset: str) -> list[str]:
    """Return the names of all training images of a dataset, sorted.

    For ``pascal_voc`` these are the 10,582 images of the augmented set.

    Args:
        dataset: ``cityscapes`` or ``pascal_voc``.
    """
    return (_LISTS / dataset / "names.txt").read_text().split()


def write_split(path: Path, names: Iterable[str]) -> None:
    """Write the names of labeled images as a list file, one on each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}\n" for name in names)
    with atomic_file(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def read_split(
    split: str, names: Sequence[str], *, dataset: str | None = None
) -> list[int]:
    """Return which images are labeled by a split, in its order.

    Args:
        split: Name of a published split of ``dataset``, or path of a list file. Each
            line of the file holds the name of an image, with or without folder and
            suffix, alone or before its label. If no line is a name, the lines are
            indices in ``names``. Lines that begin with ``#`` are ignored.
        names: Names of all images that have labels, without suffixes.
        dataset: Dataset whose published splits are accepted by name; None for none.

    Returns:
        Indices of the labeled images.

    Raises:
        FileNotFoundError: If there is no such split and no such file.
        ValueError: If the list is empty, or has an image twice, an unknown image, or a
            line that may name two images.
    """
    known = named_splits(dataset) if dataset else []
    if dataset and split in known:
        lines = published_split(dataset, split)
    elif Path(split).is_file():
        # File names, and so the list, may not be valid UTF-8.
        text = Path(split).read_text(encoding="utf-8-sig", errors="surrogateescape")
        text = unicodedata.normalize("NFC", text)
        lines = [line.strip() for line in text.split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
    else:
        choices = f" or one of {', '.join(known)}" if known else ""
        raise FileNotFoundError(f"split must be a list file{choices}, got {split}")
    if not lines:
        raise ValueError(f"split must name images, got none in {split}")

    indices = _index_names(names)
    found = []
    for line in lines:
        images = _find_images(line, indices)
        if len(images) > 1:
            raise ValueError(
                f"each line of a split must name one image, got {line!r} in {split},"
                f" which names {' and '.join(sorted(names[i] for i in images))}; leave"
                " out the label, or give the suffix of the image"
            )
        found.append(images.pop() if images else None)
    if {*found} == {None} and all(line.isdecimal() for line in lines):
        found = [int(line) if int(line) < len(names) else None for line in lines]
    unknown = [line for line, index in zip(lines, found, strict=True) if index is None]
    if unknown:
        raise ValueError(
            f"a split must name images that have labels, got {len(unknown)} others in"
            f" {split}, such as {', '.join(unknown[:3])}"
        )
    order = [index for index in found if index is not None]
    twice = {names[index] for index, count in Counter(order).items() if count > 1}
    if twice:
        raise ValueError(
            f"a split must name each image once, got {len(twice)} more often in"
            f" {split}, such as {', '.join(sorted(twice)[:3])}"
        )
    return order


def check_resumed_split(before: Iterable[str], now: Iterable[str]) -> None:
    """Check that a resumed run has the labeled images that it began with.

    Args:
        before: Names of the labeled images in the checkpoint.
        now: Names of the labeled images.

    Raises:
        ValueError: If they differ.
    """
    then = {unicodedata.normalize("NFC", name) for name in before}
    current = {*now}
    if then != current:
        other = sorted(then ^ current)
        raise ValueError(
            "the labeled images of a resumed run must be those that it began with,"
            f" got {len(current)} for {len(then)}, of which {len(then & current)} are"
            f" the same ({other[0]} is not); give the same labeled, seed and split, or"
            f" that run's {SPLIT_FILE} as split"
        )


def _index_names(names: Sequence[str]) -> dict[str, int]:
    """Return the index of each name, by the full name and by its unique last part."""
    ends = [_short_name(name).rpartition("/")[2] for name in names]
    counts = Counter(ends)
    indices = {end: index for index, end in enumerate(ends) if counts[end] == 1}
    for index, name in enumerate(names):
        indices[name] = indices[_short_name(name)] = index
    return indices


def _find_images(line: str, indices: Mapping[str, int]) -> set[int]:
    """Return the indices of the images that a line of a list may name.

    Empty if the image is unknown; two if the line can be read as a path with a blank in
    a folder's name and as an image before its label, such as ``x labels/y.png``.
    """
    # A blank ends a name, except in a file name such as "image (2).png".
    first = re.split(r"[,\s]", line)[0]
    file = _FILE.match(line)
    whole = _known_end(line, indices) or _known_end(file[1] if file else "", indices)
    alone = _known_end(first, indices) or _known_end(
        os.path.splitext(first)[0], indices
    )
    if whole and re.search(r"[,\s]", whole):
        return {indices[whole]}
    return {indices[name] for name in (whole, alone) if name}


def _known_end(name: str, indices: Mapping[str, int]) -> str | None:
    """Return the longest end of a path that is the name of an image."""
    parts = _short_name(name).split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in indices), None)


def _short_name(name: str) -> str:
    """Return a name without the ending of Cityscapes images."""
    return name.removesuffix("_leftImg8bit")
