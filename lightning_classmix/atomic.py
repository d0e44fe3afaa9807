"""Write files that are complete as soon as they exist."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_LONGEST = 255  # bytes of a file name


@contextmanager
def atomic_file(path: Path, mode: str = "wb", **options: Any) -> Iterator[Any]:
    """Open a temporary file, which is renamed to ``path`` when it is complete.

    After an error nothing is left of it, and an existing file stays as it is. An
    OSError of the disk names ``path``.

    Args:
        path: Path of the complete file.
        mode: Mode in which the file is opened.
        options: Further arguments of ``open``, such as ``newline``.
    """
    temporary = path.with_name(_temporary_name(path.name))
    try:
        with temporary.open(mode, **options) as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        # Writing to it names no file; a text without errno would be hidden by a name.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
            del error.filename2
        raise
    finally:
        with suppress(OSError):  # where opening it has failed, that error says more
            temporary.unlink()


def _temporary_name(name: str) -> str:
    """Return the name of the temporary file; a long name is replaced by its hash."""
    temporary = f".{name}.part"
    if len(os.fsencode(temporary)) <= _LONGEST:
        return temporary
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}.part"


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, whose content is moved into ``path`` at the end.

    After an error nothing is left of it; ``path`` is removed if it did not exist
    before. An OSError of the disk names a file in ``path``, or ``path``.

    Args:
        path: Folder of the complete files, created if missing. Files in it that have
            the name of a new one are replaced.
    """
    existed = path.is_dir()
    path.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=path))
    try:
        yield temporary
        for file in sorted(temporary.iterdir()):
            file.replace(path / file.name)
    except OSError as error:
        name = str(error.filename2 or error.filename)  # of a copy the second
        if name.startswith(str(temporary)):
            error.filename = name.replace(str(temporary), str(path), 1)
            error.filename2 = None
        elif error.errno is not None and error.filename is None:  # while writing to it
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not existed and not any(path.iterdir()):
            path.rmdir()


def write_text(path: Path, content: str) -> None:
    """Write a text file in UTF-8 atomically; file names in it may be other bytes."""
    with atomic_file(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")
