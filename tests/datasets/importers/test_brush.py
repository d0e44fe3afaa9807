import numpy as np
import pytest
from numpy.typing import NDArray

from lightning_classmix.datasets.importers.brush import decode_brush

COUNTS = (3, 4, 8, 16)


def encode(blocks: list[tuple[int, list[int]]], total: int) -> list[int]:
    """Encode blocks (times, words): one word that is repeated, or words as they are."""
    bits = f"{total:032b}{7:05b}" + "".join(f"{count - 1:04b}" for count in COUNTS)
    for times, words in blocks:
        length = times * len(words)
        index = next(i for i, count in enumerate(COUNTS) if length <= 1 << count)
        bits += f"{int(times > 1)}{index:02b}{length - 1:0{COUNTS[index]}b}"
        bits += "".join(f"{word:08b}" for word in words)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def expected() -> NDArray[np.bool_]:
    mask = np.zeros((3, 5), bool)
    mask[0, 0] = mask[2] = True
    return mask


DATA = encode([(1, [9, 8, 7, 255]), (36, [0]), (20, [255])], 60)


def test_a_brush_is_the_alpha_channel_row_by_row() -> None:
    assert np.array_equal(decode_brush(DATA, 3, 5), expected())


def test_a_brush_of_another_size_or_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 5 x 5 x 4 bytes, got 60"):
        decode_brush(DATA, 5, 5)
    with pytest.raises(ValueError, match="truncated"):
        decode_brush(DATA[:-3], 3, 5)
