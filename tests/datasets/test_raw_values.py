import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_classmix.datasets.raw_values import (
    COLOR,
    color_value,
    few_bits_values,
    format_value,
    index_values,
    numbers_of,
    raw_value,
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
