"""Read the raw values of label files: numbers, palette indices or colors."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.image_io import (
    MAX_IMAGE_PIXELS,
    open_image,
    png_header,
)
from lightning_classmix.datasets.labels.raw_values import (
    COLOR,
    few_bits_values,
    index_values,
)


class RawLabel(NamedTuple):
    """Content of a label file."""

    values: NDArray[np.integer]
    """Number, palette index or color of each pixel, ``(H, W)``."""
    codes: NDArray[np.int64] | None = None
    """Raw value of each number in ``values``; None if the numbers are raw values.

    Palette files and files of fewer than 8 bits have codes ``(256,)``; see
    `raw_values`.
    """


def read_label(path: Path, max_pixels: int = MAX_IMAGE_PIXELS) -> RawLabel:
    """Read a label file of at most ``max_pixels`` pixels.

    Numbers are read as uint8, uint16 or int64, colors as int64 raw values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, is a JPEG, holds fractions or NaN, or
            holds a mask in its alpha channel.
    """
    image = open_image(path, max_pixels)
    if image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg":
        raise ValueError(
            f"a label must be saved without loss, got a JPEG in {path}; save it as PNG"
        )
    mode = image.mode
    if mode in ("LA", "PA", "RGBA"):
        _refuse_alpha_mask(image, path)
    if mode in ("RGB", "RGBA"):
        red, green, blue = np.moveaxis(np.asarray(image), -1, 0)[:3].astype(np.int64)
        return RawLabel(COLOR | red << 16 | green << 8 | blue)
    if mode in ("P", "PA"):
        return RawLabel(np.asarray(image.getchannel(0)), _palette_codes(image))
    if mode in ("L", "LA", "1"):
        values = np.asarray(image.getchannel(0), np.uint8)
        bits = 1 if mode == "1" else (png_header(path) or (8, 0))[0]
        if bits < 8:  # Pillow stretches values of 2 and 4 bits to 8 bits
            values = values // {2: 85, 4: 17}.get(bits, 1)
            return RawLabel(values, few_bits_values(bits))
        return RawLabel(values)
    if mode.startswith("I") or mode == "F":
        return RawLabel(_whole_numbers(np.asarray(image), path))
    raise ValueError(
        f"a label must be an index, palette or color image, got mode {mode} in {path}"
    )


def _palette_codes(image: Image.Image) -> NDArray[np.int64]:
    """Return the raw value of each palette index: the index with its color."""
    palette = image.palette.getdata()[1] if image.palette else b""
    mode = image.palette.mode if image.palette else "RGB"
    colors = np.zeros((256, 3), np.int64)
    found = np.frombuffer(palette, np.uint8).reshape(-1, len(mode))[:256, :3]
    colors[: len(found)] = found
    return index_values(colors)


def _refuse_alpha_mask(image: Image.Image, path: Path) -> None:
    """Raise a ValueError if only the alpha channel of an image varies."""
    *colors, alpha = (low != high for low, high in np.atleast_2d(image.getextrema()))
    if alpha and not any(colors):
        raise ValueError(
            f"a label must hold its classes in gray or color, got a mask in the alpha"
            f" channel of {path}; save the alpha channel as a gray image"
        )


def _whole_numbers(values: NDArray[np.generic], path: Path) -> NDArray[np.integer]:
    """Return numbers as uint16 if they fit, else as int64."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError(
                f"a label must hold whole numbers, got NaN or infinity in {path}; save"
                " a number instead, and map it to 255 in label_map"
            )
        fractions = values[values != np.rint(values)]
        if fractions.size:
            raise ValueError(
                f"a label must hold whole numbers, got {fractions[0]:g} in {path}"
            )
    if values.min(initial=0) >= 0 and values.max(initial=0) <= np.iinfo(np.uint16).max:
        return values.astype(np.uint16)
    return values.astype(np.int64)
