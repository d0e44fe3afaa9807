import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_classmix.datasets.labels.raw_values import (
    COLOR,
    FEW_BITS,
    INDEXED,
    color_of,
    color_value,
    few_bits_values,
    format_value,
    index_of,
    index_values,
    is_color,
    numbers_of,
    raw_value,
    stretched,
)

RED, GREEN = color_value(255, 0, 0), color_value(0, 255, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, 0),
        ("12", 12),
        (65535, 65535),
        (-9999, -9999),
        ("-1", -1),
        ("#00FF00", GREEN),
        ("#ff0000", RED),
    ],
)
def test_raw_values_are_numbers_or_colors(key: int | str, value: int) -> None:
    assert raw_value(key) == value


@pytest.mark.parametrize(
    "key",
    [
        -(1 << 31) - 1,
        1 << 32,
        "1.5",
        True,
        "",
        "#ff00",
        "ff0000",
        "#ff00000",
        "#gg0000",
        "red",
    ],
)
def test_other_keys_are_refused(key: int | str) -> None:
    with pytest.raises(ValueError, match=f"or a color '#rrggbb', got {key!r}"):
        raw_value(key)


@given(
    st.one_of(
        st.integers(-(1 << 31), (1 << 32) - 1),
        st.integers(0, 0xFFFFFF).map(lambda rgb: COLOR | rgb),
    )
)
def test_a_raw_value_is_formatted_as_it_is_written(value: int) -> None:
    assert raw_value(format_value(value)) == value


def test_gray_colors_become_numbers_and_others_are_unchanged() -> None:
    raw = np.array(
        [
            color_value(0, 0, 0),
            color_value(255, 255, 255),
            RED,
            7,
            65535,
            color_value(0, 0, 1),
        ]
    )
    assert numbers_of(raw).tolist() == [0, 255, RED, 7, 65535, color_value(0, 0, 1)]


def test_palette_files_become_indices_and_few_bits_numbers() -> None:
    palette = index_values(np.full((256, 3), 200))
    assert numbers_of(palette).tolist() == list(range(256))
    few = few_bits_values(2)[:4]
    assert numbers_of(few).tolist() == [0, 1, 2, 3]
    assert numbers_of(few, stretch=True).tolist() == [0, 85, 170, 255]


def test_codes_are_composed_of_their_parts() -> None:
    assert color_value(1, 2, 3) == COLOR | 0x010203
    palette = index_values(np.array([[1, 2, 3], [4, 5, 6]]))
    assert palette.tolist() == [INDEXED | 0x010203, INDEXED | 1 << 24 | 0x040506]
    assert few_bits_values(4)[[0, 15]].tolist() == [FEW_BITS | 0x400, FEW_BITS | 0x40F]
    assert len(few_bits_values(1)) == 256


def test_the_kinds_of_codes_do_not_overlap() -> None:
    numbers = [-(1 << 31), -1, 0, (1 << 32) - 1]
    colors = [color_value(0, 0, 0), color_value(255, 255, 255)]
    white = np.full((256, 3), 255)
    others = [index_values(np.zeros((1, 3), np.int64))[0], index_values(white)[255]]
    others.append(few_bits_values(1)[0])
    assert [is_color(int(code)) for code in numbers + colors + others] == (
        [False] * 4 + [True] * 2 + [False] * 3
    )


def test_the_parts_of_a_palette_code_are_found() -> None:
    palette = index_values(np.array([[1, 2, 3]] * 256))
    assert index_of(palette).tolist() == list(range(256))
    assert {*color_of(palette).tolist()} == {color_value(1, 2, 3)}


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(1, [0, 255]), (2, [0, 85, 170, 255]), (4, list(range(0, 256, 17)))],
)
def test_numbers_of_few_bits_are_stretched_to_8_bits(
    bits: int, expected: list[int]
) -> None:
    assert stretched(few_bits_values(bits)[: 1 << bits]).tolist() == expected


def test_black_of_a_palette_and_the_numbers_beside_it_are_found() -> None:
    black = index_values(np.zeros((1, 3), np.int64))
    mixed = np.array([*black, 5, *few_bits_values(4)[[0, 15]], RED])
    assert numbers_of(mixed).tolist() == [0, 5, 0, 15, RED]
    assert numbers_of(mixed, stretch=True).tolist() == [0, 5, 0, 255, RED]


def test_the_ends_of_the_range_of_numbers_are_raw_values() -> None:
    assert raw_value(-(1 << 31)) == -(1 << 31)
    assert raw_value((1 << 32) - 1) == (1 << 32) - 1


def test_codes_of_files_are_written_with_their_encoding() -> None:
    palette = index_values(np.array([[255, 128, 1]] * 256))
    assert format_value(int(palette[200])) == "index 200 of color #ff8001"
    assert format_value(int(palette[0])) == "index 0 of color #ff8001"
    black = index_values(np.zeros((1, 3), np.int64))[0]
    assert format_value(int(black)) == "index 0 of color #000000"
    assert format_value(int(few_bits_values(4)[15])) == "15 in 4 bits"
    assert format_value(int(few_bits_values(1)[0])) == "0 in 1 bits"
    assert format_value(color_value(0, 0, 0)) == "#000000"
