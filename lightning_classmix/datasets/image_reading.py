"""Read image files as arrays at their precision, with a given number of channels."""

import contextlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lightning_classmix.datasets.image_io import (
    MAX_IMAGE_PIXELS,
    ImageSizeError,
    check_pixel_count,
    image_header,
    open_image,
    png_header,
)

_TIFF = (".tif", ".tiff")
_MODES = {1: ("L", "1"), 2: ("LA",), 4: ("RGBA",)}
_SAMPLES = 277  # TIFF tag: number of bands
_ORIENTATION = 274  # tag of EXIF and TIFF


def read_image(
    path: Path, channels: int = 3, max_pixels: int = MAX_IMAGE_PIXELS
) -> NDArray[Any]:
    """Read an image, rotated by its EXIF orientation.

    With 3 channels, gray images are repeated, and an alpha channel is dropped. With
    another number, the file must have that many channels: gray images have 1, images
    with an alpha channel 2 or 4, and TIFF files the number of their bands or pages.

    Args:
        path: Path of the file.
        channels: Number of channels, C.
        max_pixels: Largest number of pixels, H × W.

    Returns:
        Pixels ``(H, W, C)``, uint8, or uint16, int32, int64 or float32 for files of
        more than 8 bits.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, has another number of channels, or
            holds NaN.
    """
    is_tiff = path.suffix.lower() in _TIFF
    if is_tiff and path.is_file() and channels not in (1, 3):
        return _checked(_read_tiff(path, max_pixels), channels, path)
    try:
        image = open_image(path, max_pixels)
        deep = _has_deep_colors(path)
        if _has_more_bands(image):  # Pillow would read the first band only
            return _checked(_read_tiff(path, max_pixels), channels, path)
    except ImageSizeError:
        raise
    except ValueError:
        if not is_tiff or not path.stat().st_size:
            raise
        return _checked(_read_tiff(path, max_pixels), channels, path)
    if deep:  # Pillow would keep 8 of 16 bits
        pixels = _read_tiff(path, max_pixels) if is_tiff else _read_deep_png(path)
        return _checked(_upright(pixels, image), channels, path)
    ImageOps.exif_transpose(image, in_place=True)  # without a copy
    if image.mode.startswith(("I", "F")):
        return _checked(_plain_type(np.asarray(image))[..., None], channels, path)
    if channels == 3:
        if image.mode == "P":
            image.info.pop("transparency", None)  # Pillow would warn
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    if channels == 4 and image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode not in _MODES.get(channels, ()):
        raise ValueError(
            f"an image must have {channels} channel{'s' * (channels > 1)}, got mode"
            f" {image.mode} in {path}; give in_channels={len(image.getbands())}, or"
            " convert the file"
        )
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels.reshape(*pixels.shape[:2], channels)


def file_channels(path: Path) -> tuple[str, int]:
    """Return a name for the channels of an image file, and their number."""
    if path.suffix.lower() in _TIFF and path.is_file():
        with contextlib.suppress(Exception), tifffile.TiffFile(path) as file:
            series = file.series[0]
            bands = [
                n
                for n, axis in zip(series.shape, series.axes, strict=True)
                if axis not in "YX"
            ]
            if bands:
                return f"{bands[0]} bands", bands[0]
    with image_header(path) as image:
        return image.mode, len(image.getbands())


def _has_deep_colors(path: Path) -> bool:
    """Return whether a file has several channels of more than 8 bits."""
    suffix = path.suffix.lower()
    if suffix == ".png":
        return png_header(path) in ((16, 2), (16, 4), (16, 6))
    if suffix not in _TIFF:
        return False
    with contextlib.suppress(Exception), image_header(path) as image:
        several = image.mode not in ("I", "F", "L", "1") and image.mode[:2] != "I;"
        return several and any("16" in str(tile[3]) for tile in image.tile)
    return False


def _has_more_bands(image: Image.Image) -> bool:
    """Return whether a TIFF file has more bands than Pillow reads."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_SAMPLES, 1)) > len(image.getbands())


def _read_deep_png(path: Path) -> NDArray[Any]:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"an image must be readable, got {path}")
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.ndim == 3 else [0]
    return np.atleast_3d(pixels)[..., order]


def _read_tiff(path: Path, max_pixels: int) -> NDArray[Any]:
    """Read the bands of a TIFF file, ``(H, W, C)``."""
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes = series.axes
            sides = dict(zip(axes, series.shape, strict=True))
            check_pixel_count(sides.get("X", 1), sides.get("Y", 1), max_pixels, path)
            pixels = series.asarray()
    except ImageSizeError:
        raise
    except Exception as error:  # tifffile raises exceptions of many types
        hint = ""
        if "imagecodecs" in str(error):
            hint = "; pip install 'lightning-classmix[tiff]' adds its compression"
        raise ValueError(
            f"an image must be readable, got {path}: {error}{hint}"
        ) from error
    others = [axis for axis in range(len(axes)) if axes[axis] not in "YX"]
    if len(others) > 1 or not {*"YX"} <= {*axes}:
        raise ValueError(
            f"an image must have height, width and bands, got the axes {axes} of shape"
            f" {pixels.shape} in {path}"
        )
    if others:
        pixels = np.moveaxis(pixels, others[0], -1)
    return _plain_type(pixels.reshape(*pixels.shape[:2], -1))


def _plain_type(pixels: NDArray[Any]) -> NDArray[Any]:
    """Convert to uint8, uint16, int32, int64 or float32."""
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind == "b":
        return pixels.astype(np.uint8) * 255
    if kind == "f":
        return pixels.astype(np.float32)
    if kind == "u" and size <= 2:
        return pixels.astype(np.uint8 if size == 1 else np.uint16)
    return pixels.astype(np.int32 if kind == "i" and size <= 4 else np.int64)


def _checked(pixels: NDArray[Any], channels: int, path: Path) -> NDArray[Any]:
    """Return pixels of the right number of channels without NaN."""
    found = pixels.shape[2]
    if channels == 3 and found == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    elif path.suffix.lower() == ".png" and channels == found - 1:
        pixels = pixels[..., :channels]  # without alpha
    elif found != channels:
        raise ValueError(
            f"an image must have {channels} channel{'s' * (channels > 1)}, got {found}"
            f" in {path}; give in_channels={found}, or convert the file"
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError(
            f"an image must hold finite numbers, got NaN or infinity in {path}; replace"
            " them, for example by 0"
        )
    return np.ascontiguousarray(pixels)


def _upright(pixels: NDArray[Any], image: Image.Image) -> NDArray[Any]:
    """Rotate pixels by the EXIF orientation of ``image``."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
