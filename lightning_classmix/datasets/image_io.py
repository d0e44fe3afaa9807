"""Read image and label files; every error names its file."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lightning_classmix.datasets.paths import Paths

_SHOWN = 20  # faults that an error message lists
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


def read_image(path: Path) -> Image.Image:
    """Read an image as upright RGB of 8 bits a channel.

    Of 16 bits the upper 8 are kept; transparency is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read to its end, or has numbers of another kind.
    """
    image = ImageOps.exif_transpose(open_image(path))
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


def open_image(path: Path) -> Image.Image:
    """Open an image with Pillow and decode it completely.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise
    except Exception as error:  # decoders raise exceptions of many types
        if path.is_file() and not path.stat().st_size:
            raise ValueError(
                f"an image must be readable, got an empty {path}"
            ) from None
        raise ValueError(f"an image must be readable, got {path}: {error}") from error


def stem(path: str | Path, folder: Path) -> str:
    """Return the path of a file relative to a folder, without its suffix.

    A path outside the folder is returned without its leading ``/`` or ``..``, so that
    it is relative in any case.
    """
    full, prefix = os.path.splitext(path)[0], f"{folder}{os.sep}"
    inside = os.path.normpath(full.removeprefix(prefix)).replace(os.sep, "/")
    return re.sub(r"^(\.\./|/)+", "", inside)


def raise_faults(faults: Iterable[str]) -> None:
    """Raise a ValueError that lists all faults, if there are any."""
    messages = list(faults)
    if len(messages) > _SHOWN:
        messages = [*messages[:_SHOWN], f"and {len(messages) - _SHOWN} more"]
    if messages:
        raise ValueError("\n".join(messages))
