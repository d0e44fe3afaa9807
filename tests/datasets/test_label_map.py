from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lightning_classmix.datasets.label_map import (
    COLOR,
    LabelMap,
    check_classes,
    color_value,
    count_values,
    format_value,
    gray_of,
    raw_value,
)
from lightning_classmix.ops import VOID

FILE = Path("labels/x.png")
RED, GREEN = color_value(255, 0, 0), color_value(0, 255, 0)


def gray(value: int) -> int:
    return color_value(value, value, value)


def slow(classes: Mapping[int, int], raw: NDArray[np.integer]) -> list[int]:
    """Look every pixel up in the table; gray is its number if no color is known."""
    numbers = {gray(value): value for value in range(256)}
    colorful = any(value >= COLOR for value in classes)
    found = []
    for pixel in raw.ravel().tolist():
        pixel = pixel if colorful else numbers.get(pixel, pixel)
        found.append(classes.get(pixel, -1))
    return found


values = st.one_of(
    st.integers(0, 6),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 255).map(gray),
    st.integers(0, 0xFFFFFF).map(lambda rgb: COLOR | rgb),
)
tables = st.dictionaries(values, st.integers(0, VOID), min_size=1, max_size=12)
numbers = st.dictionaries(
    st.integers(0, 300), st.integers(0, VOID), min_size=1, max_size=12
)


@given(st.one_of(tables, numbers), st.lists(values, max_size=30))
def test_classes_are_those_of_the_slow_loop(
    classes: dict[int, int], drawn: list[int]
) -> None:
    pixels = [*classes, *drawn]
    kinds = ((np.uint8, 255), (np.uint16, 65535), (np.int64, 1 << 25))
    for dtype, top in kinds:
        held = [[pixel for pixel in pixels if pixel <= top]]
        raw: NDArray[np.integer] = np.array(held, dtype)
        found = LabelMap(classes).look_up(raw)
        assert found.shape == raw.shape
        assert found.ravel().tolist() == slow(classes, raw)


def test_numbers_colors_and_void_become_classes() -> None:
    label_map = LabelMap({7: 0, 300: 1, RED: 2, 9: VOID})
    small = label_map(np.array([[7, 9]], np.uint8), FILE)
    assert small.dtype == np.uint8
    assert small.tolist() == [[0, 255]]
    assert label_map(np.array([[300, 7]], np.uint16), FILE).tolist() == [[1, 0]]
    assert label_map(np.array([[RED], [RED]]), FILE).tolist() == [[2], [2]]


def test_gray_pixels_are_numbers_as_long_as_no_color_is_known() -> None:
    raw = np.array([[gray(0), gray(2)]])
    assert LabelMap({0: 1, 2: 0}).look_up(raw).tolist() == [[1, 0]]
    assert LabelMap({0: 1, 2: 0, RED: 2}).look_up(raw).tolist() == [[-1, -1]]


def test_numbers_beyond_255_are_no_gray() -> None:
    assert LabelMap({300: 1}).look_up(np.array([[gray(44)]])).tolist() == [[-1]]


def test_values_without_a_class_are_told_with_pixels_and_file() -> None:
    label_map = LabelMap({0: 0, 1: 1, 2: 2, 4: 3, VOID: VOID})
    raw = np.array([[0, 3, 3], [9, 4, 255]], np.uint8)
    with pytest.raises(ValueError, match="a label must hold") as error:
        label_map(raw, FILE)
    assert (
        "must hold values of 0 to 2, 4, 255, got 3 (2 pixels), 9 (1 pixel) in"
        " labels/x.png;"
    ) in str(error.value)


def test_colors_without_a_class_are_told_as_colors() -> None:
    label_map = LabelMap({0: 0, RED: 1})
    with pytest.raises(ValueError, match=r"of 0, #ff0000, got #00ff00 \(3 pixels\) in"):
        label_map(np.array([[GREEN, GREEN, GREEN, RED]]), FILE)


def test_ten_values_are_told_and_the_others_counted() -> None:
    raw = np.arange(14, dtype=np.uint16)[None]
    with pytest.raises(ValueError, match=r"13 \(1 pixel\) in") as error:
        LabelMap({0: 0, 1: 1, 2: 2, 3: 3})(raw, FILE)
    assert "other values" not in str(error.value)  # ten are left
    with pytest.raises(ValueError, match=r"11 \(1 pixel\), 2 other values in"):
        LabelMap({0: 0, 1: 1})(raw, FILE)


def test_values_of_16_bits_are_told_whole() -> None:
    with pytest.raises(ValueError, match=r"got 256 \(2 pixels\), 65535 \(1 pixel\)"):
        LabelMap({0: 0, 1: 1})(np.array([[256, 256, 65535, 0]], np.uint16), FILE)


def test_a_label_without_pixels_is_no_fault() -> None:
    assert LabelMap({0: 0})(np.empty((0, 4), np.uint8), FILE).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_values_are_counted(dtype: type[np.integer]) -> None:
    found, counts = count_values(np.array([[5, 0, 5], [5, 7, 0]], dtype))
    assert (found.tolist(), counts.tolist()) == ([0, 5, 7], [2, 3, 1])
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("key", "value"),
    [(0, 0), ("12", 12), (65535, 65535), ("#00FF00", GREEN), ("#ff0000", RED)],
)
def test_raw_values_are_numbers_or_colors(key: int | str, value: int) -> None:
    assert raw_value(key) == value


@pytest.mark.parametrize(
    "key", [-1, 65536, "1.5", True, "", "#ff00", "ff0000", "#ff00000", "#gg0000", "red"]
)
def test_whatever_is_neither_number_nor_color_is_refused(key: int | str) -> None:
    with pytest.raises(ValueError, match=f"or a color '#rrggbb', got {key!r}"):
        raw_value(key)


@given(values)
def test_a_value_is_told_as_it_is_written(value: int) -> None:
    assert raw_value(format_value(value)) == value


def test_gray_colors_are_numbers_and_others_stay() -> None:
    raw = np.array([gray(0), gray(255), RED, 7, 65535, color_value(0, 0, 1)])
    assert gray_of(raw).tolist() == [0, 255, RED, 7, 65535, color_value(0, 0, 1)]


@pytest.mark.parametrize("label", [-1, 3, 254, 256])
def test_a_class_that_there_is_not_is_refused_with_its_value(label: int) -> None:
    check_classes({0: 0, 1: 2, 2: VOID}, 3)
    with pytest.raises(ValueError, match=rf"in \[0, 2\] .*, got {label} for #ff0000"):
        check_classes({0: 0, RED: label}, 3)
