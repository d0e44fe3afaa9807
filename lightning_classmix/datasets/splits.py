"""Choose the labeled images: drawn subsets, named splits, list files."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES

SPLIT_FILE = "split.txt"
"""File in the folder of a run that lists its labeled images."""

_LISTS = Path(str(resources.files("lightning_classmix") / "datasets/split_lists"))
_FILE = re.compile(
    rf"(.+?)({'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=[,\s]|$)", re.IGNORECASE
)


def named_splits(dataset: str) -> dict[str, list[str]]:
    """Return the labeled images of the splits in wide use, in their order.

    ``olsson2021/0`` and so on are whole permutations: the first N are labeled. The
    ``unimatch/…`` are the labeled images alone, their names say how many.

    Args:
        dataset: ``cityscapes`` or ``pascal_voc``.

    Source:
        github.com/WilhelmT/ClassMix (the indices of Cityscapes refer there to the order
        of a directory walk, here to the sorted list); github.com/LiheYoung/UniMatch.
    """
    with np.load(_LISTS / f"{dataset}.npz") as lists:
        names = lists["names"].astype(str)
        return {
            name: names[lists[name]].tolist() for name in lists.files if "/" in name
        }


def list_of(dataset: str) -> list[str]:
    """Return the names of all training images that ``named_splits`` is about, sorted.

    For ``pascal_voc`` these are the 10,582 of the augmented set.
    """
    with np.load(_LISTS / f"{dataset}.npz") as lists:
        names: list[str] = lists["names"].astype(str).tolist()
        return names


def write_split(path: Path, names: Iterable[str]) -> None:
    """Write the names of labeled images as a list file, one on each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}\n" for name in names)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def read_split(
    split: str, names: Sequence[str], *, dataset: str | None = None
) -> list[int]:
    """Return which images are labeled by a split, in its order.

    Args:
        split: Name of a split of ``dataset``, or path of a list file. That has an image
            on each line: its name, with or without folder and suffix, alone or before
            its label; or its index in ``names``, where no line is a name. Lines that
            begin with ``#`` are left out.
        names: Names of all images that have labels, without suffixes.
        dataset: Set whose named splits are known, if any.

    Raises:
        FileNotFoundError: If there is neither such a name nor such a file.
        ValueError: If the list is empty, or names an image twice or unknown.
    """
    known = named_splits(dataset) if dataset else {}
    if split in known:
        lines = known[split]
    elif Path(split).is_file():
        # A disk may hold names that are no UTF-8, and then the list must, too.
        text = Path(split).read_text(encoding="utf-8-sig", errors="surrogateescape")
        lines = [line.strip() for line in text.split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
    else:
        choices = f" or one of {', '.join(known)}" if known else ""
        raise FileNotFoundError(f"split must be a list file{choices}, got {split}")
    if not lines:
        raise ValueError(f"split must name images, got none in {split}")

    places = _places(names)
    found = [_place(line, places) for line in lines]
    if {*found} == {None} and all(line.isdecimal() for line in lines):
        found = [int(line) if int(line) < len(names) else None for line in lines]
    unknown = [line for line, place in zip(lines, found, strict=True) if place is None]
    if unknown:
        raise ValueError(
            f"a split must name images that have labels, got {len(unknown)} others in"
            f" {split}, such as {', '.join(unknown[:3])}"
        )
    order = [place for place in found if place is not None]
    twice = {names[place] for place, count in Counter(order).items() if count > 1}
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
    then, current = {*before}, {*now}
    if then != current:
        other = sorted(then ^ current)
        raise ValueError(
            "the labeled images of a resumed run must be those that it began with,"
            f" got {len(current)} for {len(then)}, of which {len(then & current)} are"
            f" the same ({other[0]} is not); give the same labeled, seed and split, or"
            f" that run's {SPLIT_FILE} as split"
        )


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return the index of each name, by the whole of it and by its unique last part."""
    ends = [_bare(name).rpartition("/")[2] for name in names]
    counts = Counter(ends)
    places = {end: index for index, end in enumerate(ends) if counts[end] == 1}
    for index, name in enumerate(names):
        places[name] = places[_bare(name)] = index
    return places


def _place(line: str, places: Mapping[str, int]) -> int | None:
    """Return the image that a line tells: by itself, its first name, or an end."""
    # A blank ends a name, but not within that of a file, such as "image (2).png".
    first = re.split(r"[,\s]", line)[0]
    file = _FILE.match(line)
    for name in (line, file[1] if file else first, first, os.path.splitext(first)[0]):
        parts = _bare(name).split("/")
        for start in range(len(parts)):
            place = places.get("/".join(parts[start:]))
            if place is not None:
                return place
    return None


def _bare(name: str) -> str:
    """Return a name without what Cityscapes adds to tell images from labels."""
    return name.removesuffix("_leftImg8bit")
