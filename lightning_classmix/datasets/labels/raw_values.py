"""Codes of the values in label files, as int64: numbers, colors and palette indices.

A number stands for itself, and may be negative. Larger codes stand for

* a color: ``COLOR | 0xRRGGBB``,
* an index of a palette file, with its color: ``INDEXED | index << 24 | 0xRRGGBB``,
* a number in a gray file of 1, 2 or 4 bits: ``FEW_BITS | bits << 8 | number``.

So the counted values of a file say how its values are encoded, and files that encode
them differently can be compared.
"""

import re

import numpy as np
from numpy.typing import NDArray

COLOR = 1 << 40
INDEXED = 1 << 41
FEW_BITS = 1 << 42

_NUMBERS = range(-(1 << 31), 1 << 32)


def color_value(red: int, green: int, blue: int) -> int:
    """Return the raw value of a color."""
    return COLOR | red << 16 | green << 8 | blue


def index_values(colors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the raw values of the indices of a palette.

    Args:
        colors: RGB color of each index in [0, 255], int64 ``(256, 3)``.

    Returns:
        Raw value of each index, int64 ``(256,)``.
    """
    red, green, blue = colors.T
    rgb: NDArray[np.int64] = red << 16 | green << 8 | blue
    return INDEXED | np.arange(len(colors)) << 24 | rgb


def few_bits_values(bits: int) -> NDArray[np.int64]:
    """Return the raw values of numbers in a gray file of 1, 2 or 4 bits, ``(256,)``."""
    return FEW_BITS | bits << 8 | np.arange(256)


def is_color(value: int) -> bool:
    """Return whether a raw value is a color."""
    return COLOR <= value < INDEXED


def index_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the palette index in the raw values of a palette file."""
    return values >> 24 & 0xFF


def color_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the raw value of the color in the raw values of a palette file."""
    return COLOR | values & 0xFFFFFF


def stretched(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the 8-bit value of numbers in few bits: 255 for the largest number."""
    largest = (1 << (values >> 8 & 0xF)) - 1
    return (values & 0xFF) * 255 // largest


def numbers_of(
    values: NDArray[np.int64], *, stretch: bool = False
) -> NDArray[np.int64]:
    """Return raw values as numbers where possible.

    Palette files yield indices, gray colors their gray value; other colors are
    unchanged.

    Args:
        values: Raw values, int64 ``(V,)``.
        stretch: Whether files of few bits yield their 8-bit values.
    """
    gray = values & 0xFF
    is_gray = values == (COLOR | gray * 0x010101)
    numbers = np.where(is_gray, gray, values)
    indexed = (values >= INDEXED) & (values < FEW_BITS)
    numbers = np.where(indexed, index_of(values), numbers)
    few = values >= FEW_BITS
    if few.any():
        small = stretched(values[few]) if stretch else values[few] & 0xFF
        numbers[few] = small
    return numbers


def raw_value(key: int | str) -> int:
    """Return the raw value of a whole number or a color ``#rrggbb``.

    Raises:
        ValueError: If ``key`` is neither.

    Example:
        >>> raw_value(-7), raw_value("#0000ff") == color_value(0, 0, 255)
        (-7, True)
    """
    text = str(key)
    if re.fullmatch("-?[0-9]+", text) and int(text) in _NUMBERS:
        return int(text)
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        return COLOR | int(text[1:], 16)
    raise ValueError(
        f"a raw value must be a whole number of at most 32 bits or a color '#rrggbb',"
        f" got {key!r}"
    )


def format_value(value: int) -> str:
    """Return a raw value as error messages show it.

    Example:
        >>> format_value(7), format_value(color_value(0, 0, 255))
        ('7', '#0000ff')
    """
    if value >= FEW_BITS:
        return f"{value & 0xFF} in {value >> 8 & 0xF} bits"
    if value >= INDEXED:
        return f"index {value >> 24 & 0xFF} of color #{value & 0xFFFFFF:06x}"
    return f"#{value & 0xFFFFFF:06x}" if value >= COLOR else str(value)
