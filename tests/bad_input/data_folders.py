"""Bad data folders: broken, missing and misnamed files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bad_input.case import CHECK, FIT, Case

Make = Callable[[Path], object]


def _bytes(path: str, content: bytes) -> Make:
    return lambda folder: (folder / "data" / path).write_bytes(content)


def _half(path: str) -> Make:
    def make(folder: Path) -> None:
        file = folder / "data" / path
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return make


def _label(path: str, value: int, size: tuple[int, int] = (24, 32)) -> Make:
    def make(folder: Path) -> None:
        Image.fromarray(np.full(size, value, np.uint8)).save(folder / "data" / path)

    return make


def _remove(*paths: str) -> Make:
    def make(folder: Path) -> None:
        for path in paths:
            target = folder / "data" / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()

    return make


def _split(text: str) -> Make:
    return lambda folder: (folder / "x.txt").write_text(text)


def _link(path: str, target: str) -> Make:
    def make(folder: Path) -> None:
        (folder / "data" / path).unlink()
        (folder / "data" / path).symlink_to(target)

    return make


def _classes(names: str) -> Make:
    return _bytes("classes.yaml", f"class_names: {names}\n".encode())


_twice = _bytes("classes.yaml", b"num_classes: 3\nnum_classes: 5\n")
_LABEL = "labels/02.png"
_CHECKED: list[tuple[str, str, Make, str]] = [
    ("an empty label", "", _bytes(_LABEL, b""), "labels/02.png"),
    ("text as label", "", _bytes(_LABEL, b"text"), "labels/02.png"),
    ("half a label", "", _half(_LABEL), "labels/02.png"),
    ("half an image", "", _half("images/01.jpg"), "images/01.jpg"),
    ("text as image", "", _bytes("unlabeled/u1.png", b"text"), "unlabeled/u1.png"),
    ("a label of another size", "", _label(_LABEL, 0, (9, 7)), "labels/02.png"),
    ("a void label", "--data.num_classes 3", _label(_LABEL, 255), "labels/02.png"),
    ("a class too many", "--data.num_classes 3", _label(_LABEL, 7), "labels/02.png"),
    (
        "an endless device as image",
        "",
        _link("images/02.jpg", "/dev/zero"),
        "images/02.jpg: its format is unknown",
    ),
    ("an endless device as label", "", _link(_LABEL, "/dev/zero"), "02.png: its form"),
    ("names that YAML reads as true", "", _classes("[yes, no, off]"), r"got \[True"),
    ("a key twice in classes.yaml", "", _twice, "key once, got num_classes"),
    ("no label", "", _remove(_LABEL), "images/02.jpg"),
    ("no image", "", _remove("images/02.jpg"), "labels/02.png"),
]
_REFUSED: list[tuple[str, str, Make, str]] = [
    (
        "no images",
        "",
        _remove("images"),
        "images and their labels must be found in data",
    ),
    (
        "no labels",
        "",
        _remove("labels"),
        "images and their labels must be found in data",
    ),
    ("an empty label", "", _bytes(_LABEL, b""), r"labels/02\.png"),
    ("text as label", "", _bytes(_LABEL, b"text"), r"labels/02\.png"),
    ("half a label", "", _half(_LABEL), r"labels/02\.png"),
    ("a label of another size", "", _label(_LABEL, 0, (9, 7)), r"labels/02\.png"),
    ("no label", "", _remove(_LABEL), r"images/02\.jpg"),
    ("a class too many", "--data.num_classes 3", _label(_LABEL, 7), r"labels/02\.png"),
    ("names in YAML that is broken", "", _bytes("classes.yaml", b"["), "classes.yaml"),
    ("names that are a number", "", _bytes("classes.yaml", b"3"), "classes.yaml"),
    ("an empty split", "--data.split x.txt", _split(""), "x.txt"),
    ("a split of another set", "--data.split x.txt", _split("nobody\n"), "nobody"),
    ("a split beyond the end", "--data.split x.txt", _split("99\n"), "99"),
    ("a name twice in a split", "--data.split x.txt", _split("00\n00\n"), "00"),
]

CASES = [
    Case(f"check of {name}", f"{CHECK} {more}", line, make)
    for name, more, make, line in _CHECKED
] + [
    Case(f"fit with {name}", f"{FIT} {more}", line, make)
    for name, more, make, line in _REFUSED
]
