"""Map the pixels of images with more than 8 bits to [0, 1]."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE = 50
"""Number of images from which the range is estimated."""
_PIXELS = 10_000  # pixels of an image that are used
_PERCENTILES = (0.1, 99.9)
_TOLERANCE = 0.01
_FEW = 1 << 13  # 12 bits and less fill at most 16 of 256 levels of the upper byte


def to_unit_range(
    image: NDArray[Any], value_range: tuple[float, float] | None
) -> NDArray[Any]:
    """Map pixels to [0, 1]; uint8 pixels without a range are returned unchanged.

    Args:
        image: Pixels of any number type, ``(H, W, C)``.
        value_range: Pixel values that become 0 and 1, beyond which values are clipped;
            None for the range of the type: [0, 65535] for uint16, [0, 1] for float.

    Returns:
        Pixels, uint8 or float32 in [0, 1], ``(H, W, C)``.

    Raises:
        ValueError: If there is no range for the type, or float pixels without a range
            are outside of [0, 1].
    """
    if image.dtype == np.uint8 and value_range is None:
        return image
    if value_range is None:
        check_pixel_range(image, "")
        value_range = (0.0, 65535.0) if image.dtype == np.uint16 else (0.0, 1.0)
    low, high = value_range
    precise = np.float64 if image.dtype.itemsize > 2 else np.float32
    pixels: NDArray[Any] = image.astype(precise)
    pixels -= low
    pixels /= high - low
    unit: NDArray[np.float32] = pixels.clip(0, 1).astype(np.float32)
    return unit


def check_pixel_range(image: NDArray[Any], source: str) -> None:
    """Check that pixels need no ``value_range``.

    Args:
        image: Pixels of any number type.
        source: End of the error message that names the file.

    Raises:
        ValueError: If they need one.
    """
    if image.dtype in (np.uint8, np.uint16):
        return
    low, high = image.min(), image.max()
    is_float = image.dtype.kind == "f"
    if is_float and low >= -_TOLERANCE and high <= 1 + _TOLERANCE:
        return
    needed = "in [0, 1]" if is_float else "uint8 or uint16"
    raise ValueError(
        f"an image must be {needed} without value_range, got {image.dtype} in"
        f" [{low:g}, {high:g}]{source}; give value_range, or value_range='auto'"
    )


def range_warning(largest: Sequence[tuple[int, Path]]) -> str | None:
    """Return a warning if 16-bit images use few of their levels; else None.

    Args:
        largest: Largest pixel value of each 16-bit image, and its path.
    """
    if not largest:
        return None
    top, path = max(largest)
    if top >= _FEW:
        return None
    return (
        f"{len(largest)} images of 16 bits hold values up to {top} of 65535, such as"
        f" {path}, and will be nearly black; give value_range='auto' or"
        f" value_range=[0, {top}]"
    )


def estimate_range(images: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the 0.1th and the 99.9th percentile of the pixels of images.

    Args:
        images: Images of any number type, ``(H, W, C)``.

    Raises:
        ValueError: If all pixels are equal.
    """
    samples = [np.empty(0)]
    for image in images:
        pixels = image.reshape(-1)
        samples.append(pixels[:: max(1, len(pixels) // _PIXELS)])
    values = np.concatenate(samples).astype(np.float64)
    if not len(values):
        raise ValueError("value_range must be given, got no readable image to sample")
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        raise ValueError(
            f"value_range must span several pixel values, got images of {low:g} only;"
            " give value_range"
        )
    return low, high
