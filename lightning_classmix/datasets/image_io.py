"""Read image and label files; every error names its file."""

import contextlib
import os
import re
import struct
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from lightning_classmix.datasets.paths import Paths

_PILLOW_LIMIT = threading.Lock()
_SHOWN = 20  # faults that an error message lists
MAX_IMAGE_PIXELS = 1_000_000_000
"""Default of the largest number of pixels of an image, 3 GB of RGB."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


def list_images(folder: Path) -> Paths:
    """Return the images of a folder and its subfolders, sorted.

    Links are followed, except to a folder that contains them; hidden files and folders
    are ignored.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must be a folder of images, got none")
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _is_loop(os.path.join(parent, name))
        ]
        found += [
            os.path.join(parent, name)
            for name in names
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        raise ValueError(
            f"{folder} must hold images ({', '.join(IMAGE_SUFFIXES)}), got none"
        )
    return Paths(sorted(found))


def _is_loop(folder: str) -> bool:
    """Return whether a folder is a link to a folder that contains the link."""
    if not os.path.islink(folder):
        return False
    parent = os.path.realpath(os.path.dirname(folder))
    return Path(parent).is_relative_to(os.path.realpath(folder))


def png_header(path: Path) -> tuple[int, int] | None:
    """Return bits per channel and color type of a PNG file; None for other files."""
    with _open_file(path) as file:
        start = file.read(26)
    is_png = start[:8] == b"\x89PNG\r\n\x1a\n" and len(start) == 26
    return (start[24], start[25]) if is_png else None


class ImageSizeError(ValueError):
    """An image has more pixels than allowed."""


def check_pixel_count(width: int, height: int, limit: int, path: Path) -> None:
    """Raise an `ImageSizeError` if an image has too many pixels."""
    if width * height > limit:
        raise ImageSizeError(
            f"an image must have at most max_image_pixels = {limit} pixels, got"
            f" {width} x {height} in {path}; raise max_image_pixels"
        )


def open_image(path: Path, max_pixels: int = MAX_IMAGE_PIXELS) -> Image.Image:
    """Open an image with Pillow and decode it completely.

    Pillow's own limit, ``Image.MAX_IMAGE_PIXELS``, does not apply. It is lifted for the
    time in which a larger image is decoded.

    Args:
        path: Path of the file.
        max_pixels: Largest number of pixels, against files that claim a size which does
            not fit into memory.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageSizeError: If it has more pixels.
        ValueError: If it cannot be decoded.
    """
    try:
        with image_header(path) as image:
            count = image.width * image.height
            check_pixel_count(image.width, image.height, max_pixels, path)
            large = count > (Image.MAX_IMAGE_PIXELS or count)
            with _pillow_limit_lifted() if large else contextlib.nullcontext():
                image.load()
            return image
    except (FileNotFoundError, ImageSizeError):
        raise
    except Exception as error:  # decoders raise exceptions of many types
        if path.is_file() and not path.stat().st_size:
            raise ValueError(
                f"an image must be readable, got an empty {path}"
            ) from None
        raise ValueError(f"an image must be readable, got {path}: {error}") from error


@contextlib.contextmanager
def image_header(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image without decoding it, whatever its number of pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its format is unknown, or if it is a pipe.
    """
    with _open_file(path) as file:
        try:
            image = _identify(file, path)
        except Image.DecompressionBombError:  # WebP and MPO check it here
            with _pillow_limit_lifted():
                image = _identify(file, path)
        yield image


def _open_file(path: Path) -> BinaryIO:
    """Open a file; refuse a pipe, which would wait for a process that writes to it."""
    if path.is_fifo():
        raise ValueError("it is a pipe")
    return path.open("rb")


@contextlib.contextmanager
def _pillow_limit_lifted() -> Iterator[None]:
    """Lift Pillow's limit of pixels, for one thread at a time."""
    with _PILLOW_LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _identify(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Return an image that is not decoded yet, as ``Image.open`` without its limit."""
    file.seek(0)
    start = file.read(16)
    for initialize in (Image.preinit, Image.init):  # common formats first
        initialize()
        for name in Image.ID:
            factory, accepts = Image.OPEN[name]
            accepted = accepts is None or accepts(start)
            if not accepted or isinstance(accepted, str):
                continue
            file.seek(0)
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                return factory(file, str(path))
    raise ValueError("its format is unknown")


def stem(path: str | Path, folder: Path) -> str:
    """Return the path of a file relative to a folder, without its suffix.

    A path outside the folder is returned without its leading ``/`` or ``..``, so that
    it is relative in any case. Names are in the Unicode form NFC, so that they compare
    equal however a file system stores them.
    """
    full, prefix = os.path.splitext(path)[0], f"{folder}{os.sep}"
    inside = os.path.normpath(full.removeprefix(prefix)).replace(os.sep, "/")
    return unicodedata.normalize("NFC", re.sub(r"^(\.\./|/)+", "", inside))


def raise_faults(faults: Iterable[str]) -> None:
    """Raise a ValueError that lists all faults, if there are any."""
    messages = list(faults)
    if len(messages) > _SHOWN:
        messages = [*messages[:_SHOWN], f"and {len(messages) - _SHOWN} more"]
    if messages:
        raise ValueError("\n".join(messages))
