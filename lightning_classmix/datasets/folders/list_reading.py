"""Read the rows of lists of images and labels: CSV and text files of many forms."""

import csv
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES

_SEPARATORS = ",\t;"
_IMAGE_NAMES = ("image", "images", "img", "filename", "file", "image_path")
_LABEL_NAMES = ("label", "labels", "mask", "masks", "annotation", "label_path")


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Read the image and the label of each row of a list.

    Columns are separated by commas, tabs or semicolons, or by a blank between two names
    of image files. A header is recognized as a first row without a name of an image
    file; it may name the columns. Otherwise the first two columns with names of image
    files count, so that an index column is skipped. Lines that begin with ``#`` are
    ignored.

    Args:
        path: Path of the list, in UTF-8 or in UTF-16 with a byte order mark.

    Returns:
        Image and label of each row; an empty label where there is none.

    Raises:
        FileNotFoundError: If there is no such list.
        ValueError: If the list is in another encoding.
    """
    if not path.is_file():
        raise FileNotFoundError(f"a list of images must be a file, got {path}")
    text = _decode(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n") if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    parsed = [_split(lines, separator) for separator in _SEPARATORS]
    rows = max(parsed, key=lambda found: sum(map(_count_files, found)))
    rows = [row for row in rows if any(row)]
    header: list[str] = []
    if rows and not _count_files(rows[0]):
        known = rows[0][0].lower() in _IMAGE_NAMES
        if known or any(_count_files(row) for row in rows[1:]):
            header = [cell.lower() for cell in rows.pop(0)]
    image, label = _columns(header, rows)
    return [
        (row[image], row[label] if label < len(row) else "")
        for row in rows
        if image < len(row) and row[image]
    ]


def find_files(paths: Sequence[str]) -> dict[str, str]:
    """Return the file on disk of each path that exists.

    Names are compared in the Unicode form NFC. A backslash that is not part of a name
    separates folders. Each folder is listed once.

    Args:
        paths: Paths, as in a list.

    Returns:
        Path on disk by path in the list.
    """
    folders: dict[str, dict[str, str]] = {}
    found = {}
    for path in dict.fromkeys(paths):
        for candidate in dict.fromkeys((path, path.replace("\\", "/"))):
            folder, name = os.path.split(candidate)
            if folder not in folders:
                folders[folder] = _list_folder(folder)
            actual = folders[folder].get(unicodedata.normalize("NFC", name))
            if actual is None and os.path.isfile(candidate):  # case differs
                actual = candidate
            if actual is not None:
                found[path] = actual
                break
    return found


def _decode(path: Path) -> str:
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError(
            "a list of images must be in UTF-8, or in UTF-16 with a byte order mark,"
            f" got NUL bytes in {path}; save it as UTF-8"
        )
    # File names, and so the list, may not be valid UTF-8.
    return content.decode("utf-8-sig", errors="surrogateescape")


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    rows = csv.reader(lines, delimiter=separator)
    return [_split_blank([cell.strip() for cell in row]) for row in rows]


def _split_blank(row: list[str]) -> list[str]:
    """Split a single cell at its blank, if both halves are names of image files."""
    halves = row[0].split() if len(row) == 1 else []
    return halves if len(halves) == 2 == _count_files(halves) else row


def _count_files(row: Sequence[str]) -> int:
    return sum(cell.lower().endswith(IMAGE_SUFFIXES) for cell in row)


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the columns of images and labels."""
    images = [i for i, name in enumerate(header) if name in _IMAGE_NAMES]
    labels = [i for i, name in enumerate(header) if name in _LABEL_NAMES]
    if images and labels:
        return images[0], labels[0]
    width = max(map(len, rows), default=0)
    files = [
        i for i in range(width) if any(_count_files(row[i : i + 1]) for row in rows)
    ]
    first = files[0] if files else 0
    return first, files[1] if len(files) > 1 else first + 1


def _list_folder(folder: str) -> dict[str, str]:
    """Return the paths of a folder's files by their names in the form NFC."""
    for form in (folder, *(unicodedata.normalize(f, folder) for f in ("NFC", "NFD"))):
        if os.path.isdir(form or "."):
            names = os.listdir(form or ".")
            return {
                unicodedata.normalize("NFC", name): os.path.join(form, name)
                for name in names
            }
    return {}
