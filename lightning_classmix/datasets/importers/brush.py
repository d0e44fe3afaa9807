"""Decode the brush masks of Label Studio."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decode_brush(data: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Return the painted pixels of a brush, bool ``(H, W)``.

    Args:
        data: Bytes of the field ``rle``, each in [0, 255].
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: If the data is cut off, or not that of an image of this size.

    Source:
        The bit stream of the package @thi.ng/rle-pack: the number of words (32 bits),
        the bits of a word minus 1 (5 bits), four bit counts minus 1 (4 bits each); then
        blocks of a flag (1: one word repeated), the index of a bit count (2 bits), the
        number of words minus 1, and the word or words. The words are RGBA bytes, row by
        row.
    """
    bits = np.unpackbits(np.array(data, dtype=np.uint8))
    position = 0

    def read(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise ValueError("a brush must be complete, got a truncated brush")
        text = "".join(map(str, bits[position : position + count].tolist()))
        position += count
        return int(text, 2)

    total = read(32)
    if total != height * width * 4:
        raise ValueError(f"a brush must hold {height} x {width} x 4 bytes, got {total}")
    word = read(5) + 1
    counts = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=np.int64)
    filled = 0
    while filled < total:
        repeated = read(1)
        end = filled + read(counts[read(2)]) + 1
        if end > total:
            raise ValueError("a brush must fit its image, got more pixels")
        if repeated:
            values[filled:end] = read(word)
        else:
            length = (end - filled) * word
            if position + length > len(bits):
                raise ValueError("a brush must be complete, got a truncated brush")
            words = bits[position : position + length].reshape(-1, word)
            values[filled:end] = words @ (1 << np.arange(word)[::-1])
            position += length
        filled = end
    alpha: NDArray[np.bool_] = values.reshape(height, width, 4)[..., 3] > 0
    return alpha
