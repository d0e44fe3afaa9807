"""Find paths of one file: other spellings, links, names that differ in case."""

import os
import unicodedata
from collections.abc import Iterable, Iterator

from lightning_classmix.datasets.image_files import ImageFiles

_FOLLOWED = 20_000


def shared_images(
    training: Iterable[ImageFiles], evaluation: Iterable[ImageFiles | None]
) -> list[str]:
    """Return a fault for every image that is in training and evaluation sets."""
    held = [path for part in filter(None, evaluation) for path in part.images.strings()]
    groups = _group(held)
    both = {}
    for part in training:
        for key, path in _keys([*part.images.strings()]):
            for other in groups.get(key, ()):
                if _is_same(other, path):
                    both[path] = other
    return [
        f"an image must be trained on or evaluated on, got {path} in both"
        + (f", also as {other}" if other != path else "")
        for path, other in sorted(both.items())
    ]


def repeated_files(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path of a file that occurs before, and the path by which it does.

    Args:
        paths: Paths of files that exist.
    """
    for group in _group([*paths]).values():
        different: list[str] = []
        for path in group:
            same = [other for other in different if _is_same(other, path)]
            if same:
                yield path, same[0]
            else:
                different.append(path)


def repetition_warnings(files: ImageFiles | None, name: str) -> list[str]:
    """Return warnings of image files and label files that a set uses more than once.

    Args:
        files: The set; None for none.
        name: Its name.
    """
    messages = []
    for kind in ("images", "labels"):
        paths = getattr(files, kind, None)
        again = [*repeated_files([] if paths is None else paths.strings())]
        if again:
            messages.append(
                f"{len(again)} {kind} of {name} are files that it holds more than once,"
                f" such as {' and '.join(dict.fromkeys(again[0]))}; if that is not"
                " meant, correct the names"
            )
    return messages


def _is_same(path: str, other: str) -> bool:
    return path == other or os.path.samefile(path, other)


def _group(paths: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, path in _keys(paths):
        groups.setdefault(key, []).append(path)
    return groups


def _keys(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each path, and a key that all paths of one file share.

    Links to single files are followed in sets of up to 20,000 files.
    """
    follow = len(paths) <= _FOLLOWED
    folders: dict[str, str] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.join(folders[folder], name)
        if follow and os.path.islink(path):
            real = os.path.realpath(path)
        yield unicodedata.normalize("NFC", real).casefold(), path
