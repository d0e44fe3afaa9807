"""Read image and label files; every error names its file."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lightning_classmix.datasets.label_map import COLOR
from lightning_classmix.datasets.paths import Paths

_SHOWN = 20  # faults that one error lists
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


def list_images(folder: Path) -> Paths:
    """Return the images of a folder and of the folders in it, sorted.

    Links are followed, but not back to a folder that they lie in; hidden files and
    folders are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must be a folder of images, got none")
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _leads_back(os.path.join(place, name))
        ]
        found += [
            os.path.join(place, name)
            for name in names
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        raise ValueError(
            f"{folder} must hold images ({', '.join(IMAGE_SUFFIXES)}), got none"
        )
    return Paths(sorted(found))


def _leads_back(folder: str) -> bool:
    """Return whether a folder is a link to one that it lies in."""
    if not os.path.islink(folder):
        return False
    place = os.path.realpath(os.path.dirname(folder))
    return Path(place).is_relative_to(os.path.realpath(folder))


def read_image(path: Path) -> Image.Image:
    """Read an image as upright RGB of 8 bits a channel.

    Of 16 bits the upper 8 are kept; transparency is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read to its end, or has numbers of another kind.
    """
    image = ImageOps.exif_transpose(_read(path))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(
            f"an image must have 8 or 16 bits a channel, got mode {image.mode} in"
            f" {path}"
        )
    if image.mode == "P":
        image.info.pop("transparency", None)  # which Pillow would warn of
    return image.convert("RGB")


def read_label(path: Path) -> NDArray[np.integer]:
    """Read the raw values of a label file, ``(H, W)``.

    An index or palette image holds uint8, or uint16 of 16 bits. A color is read as
    int64 ``COLOR | 0xRRGGBB``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, is a JPEG, or has numbers of another kind.
    """
    image = _read(path)
    if image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg":
        raise ValueError(
            f"a label must be saved without loss, got a JPEG in {path}; save it as PNG"
        )
    if image.mode in ("RGB", "RGBA"):
        red, green, blue = np.moveaxis(np.asarray(image), -1, 0)[:3].astype(np.int64)
        colors: NDArray[np.int64] = COLOR | red << 16 | green << 8 | blue
        return colors
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in ("L", "LA", "P", "1"):
        raise ValueError(
            "a label must be an index, palette or color image, got mode"
            f" {image.mode} in {path}"
        )
    values = np.asarray(image.getchannel(0)).astype(np.uint8)
    # Gray values of 2 and 4 bits come stretched to 8.
    return values // {2: 85, 4: 17}.get(_bits(path), 1) if image.mode == "L" else values


def _bits(path: Path) -> int:
    """Return the bits of a value in a PNG file; 8 for any other."""
    with path.open("rb") as file:
        start = file.read(25)
    return start[24] if start[:8] == b"\x89PNG\r\n\x1a\n" else 8


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise of all kinds
        if path.is_file() and not path.stat().st_size:
            raise ValueError(
                f"an image must be readable, got an empty {path}"
            ) from None
        raise ValueError(f"an image must be readable, got {path}: {error}") from error


def stem(path: str | Path, folder: Path) -> str:
    """Return the place of a file in a folder, or on the disk, without its suffix.

    It never begins with ``/`` or ``..``, so that it is a place in any other folder.
    """
    place, prefix = os.path.splitext(path)[0], f"{folder}{os.sep}"
    inside = os.path.normpath(place.removeprefix(prefix)).replace(os.sep, "/")
    return re.sub(r"^(\.\./|/)+", "", inside)


def raise_faults(faults: Iterable[str]) -> None:
    """Raise one ValueError that tells all faults, if there are any."""
    messages = list(faults)
    if len(messages) > _SHOWN:
        messages = [*messages[:_SHOWN], f"and {len(messages) - _SHOWN} more"]
    if messages:
        raise ValueError("\n".join(messages))
