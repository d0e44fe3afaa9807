from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lightning_classmix.datasets.labels.label_map import (
    LabelMap,
    channel_hint,
    check_classes,
    count_values,
)
from lightning_classmix.datasets.labels.label_reading import RawLabel
from lightning_classmix.datasets.labels.raw_values import (
    COLOR,
    color_value,
    few_bits_values,
    index_values,
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
    raw = np.array(pixels, np.int64)
    assert LabelMap(classes).look_up(raw).tolist() == slow(classes, raw)


def test_numbers_colors_and_void_become_classes() -> None:
    label_map = LabelMap({7: 0, 300: 1, RED: 2, 9: VOID})
    for raw, dtype, classes in (
        ([7, 9], np.uint8, [0, VOID]),
        ([300, 7], np.uint16, [1, 0]),
        ([RED, 9], np.int64, [2, VOID]),
    ):
        label = label_map(RawLabel(np.array([raw], dtype)), FILE)
        assert label.dtype == np.uint8
        assert label.tolist() == [classes]


def test_gray_pixels_are_numbers_if_the_map_has_no_color() -> None:
    raw = np.array([[gray(0), gray(2)]])
    assert LabelMap({0: 1, 2: 0}).look_up(raw).tolist() == [[1, 0]]
    assert LabelMap({0: 1, 2: 0, RED: 2}).look_up(raw).tolist() == [[-1, -1]]


def test_numbers_above_255_are_not_gray_values() -> None:
    assert LabelMap({300: 1}).look_up(np.array([[gray(44)]])).tolist() == [[-1]]


def test_values_without_a_class_are_named_with_pixels_and_file() -> None:
    label_map = LabelMap({0: 0, 1: 1, 2: 2, 4: 3, VOID: VOID})
    raw = np.array([[0, 3, 3], [9, 4, 255]], np.uint8)
    with pytest.raises(ValueError, match="a label must hold") as error:
        label_map(RawLabel(raw), FILE)
    assert (
        "must hold values of 0 to 2, 4, 255, got 3 (2 pixels), 9 (1 pixel) in"
        " labels/x.png;"
    ) in str(error.value)


def test_colors_without_a_class_are_named_as_colors() -> None:
    label_map = LabelMap({0: 0, RED: 1})
    with pytest.raises(ValueError, match=r"of 0, #ff0000, got #00ff00 \(3 pixels\) in"):
        label_map(RawLabel(np.array([[GREEN, GREEN, GREEN, RED]])), FILE)


def test_ten_values_are_named_and_the_others_are_counted() -> None:
    raw = np.arange(14, dtype=np.uint16)[None]
    with pytest.raises(ValueError, match=r"13 \(1 pixel\) in") as error:
        LabelMap({0: 0, 1: 1, 2: 2, 3: 3})(RawLabel(raw), FILE)
    assert "other values" not in str(error.value)  # ten are left
    with pytest.raises(ValueError, match=r"11 \(1 pixel\), 2 other values in"):
        LabelMap({0: 0, 1: 1})(RawLabel(raw), FILE)


def test_values_of_16_bits_are_named() -> None:
    with pytest.raises(ValueError, match=r"got 256 \(2 pixels\), 65535 \(1 pixel\)"):
        LabelMap({0: 0, 1: 1})(
            RawLabel(np.array([[256, 256, 65535, 0]], np.uint16)), FILE
        )


def test_a_label_without_pixels_is_not_a_fault() -> None:
    assert LabelMap({0: 0})(RawLabel(np.empty((0, 4), np.uint8)), FILE).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_values_are_counted(dtype: type[np.integer]) -> None:
    found, counts = count_values(RawLabel(np.array([[5, 0, 5], [5, 7, 0]], dtype)))
    assert (found.tolist(), counts.tolist()) == ([0, 5, 7], [2, 3, 1])
    assert found.dtype == np.int64


@pytest.mark.parametrize("label", [-1, 3, 254, 256])
def test_an_unknown_class_is_refused_with_its_value(label: int) -> None:
    check_classes({0: 0, 1: 2, 2: VOID}, 3)
    with pytest.raises(ValueError, match=rf"in \[0, 2\] .*, got {label} for #ff0000"):
        check_classes({0: 0, RED: label}, 3)


def with_palette(values: list[int], *colors: tuple[int, int, int]) -> RawLabel:
    palette = np.zeros((256, 3), np.int64)
    palette[: len(colors)] = colors
    return RawLabel(np.array([values], np.uint8), index_values(palette))


R, G, B = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("colors", "classes"),
    [
        ((R, G, B), [0, 1, 2]),
        ((G, B, R), [1, 2, 0]),  # another order, by an optimizer
        (((9, 9, 9), (8, 8, 8), (7, 7, 7)), [0, 1, 2]),  # colors of another table
        ((R, (8, 8, 8), B), [0, 1, 2]),  # a known color that agrees with its index
    ],
)
def test_palette_files_are_translated_by_their_colors_if_they_match(
    colors: tuple[tuple[int, int, int], ...], classes: list[int]
) -> None:
    known = {0: 0, 1: 1, 2: 2, VOID: VOID, color_value(*R): 0, color_value(*G): 1}
    label_map = LabelMap(known | {color_value(*B): 2})
    assert label_map(with_palette([0, 1, 2], *colors), FILE).tolist() == [classes]


def test_an_index_255_of_unknown_color_is_void() -> None:
    label_map = LabelMap({0: 0, 1: 1, VOID: VOID, RED: 1, GREEN: 0})
    label = with_palette([0, 1, 255], R, G)
    assert label_map(label, FILE).tolist() == [[1, 0, VOID]]


def test_a_palette_with_some_known_colors_in_another_order_is_an_error() -> None:
    label_map = LabelMap({0: 0, 1: 1, 2: 2, RED: 0, GREEN: 1})
    with pytest.raises(ValueError, match="index 2 of color #0000ff"):
        label_map(with_palette([0, 1, 2], G, R, B), FILE)


@pytest.mark.parametrize(
    ("classes", "grays", "expected"),
    [
        ({0: 0, 1: 1, VOID: VOID}, (0, 255), [0, 1]),  # white shows class 1
        ({0: 0, VOID: 1}, (255, 0), [1, 0]),  # only the grays have classes
        ({0: 0, 1: 1, VOID: VOID}, (0, 1), [0, 1]),
        ({0: 0, 1: 1}, (0, 127), [0, 1]),
    ],
)
def test_gray_palettes_are_read_by_what_has_a_class(
    classes: dict[int, int], grays: tuple[int, int], expected: list[int]
) -> None:
    label = with_palette([0, 1], *((g, g, g) for g in grays))
    assert LabelMap(classes)(label, FILE).tolist() == [expected]


def test_a_gray_palette_whose_indices_and_grays_are_other_classes_is_an_error() -> None:
    label = with_palette([0, 1], (1, 1, 1), (0, 0, 0))
    with pytest.raises(ValueError, match="got index 0 of color #010101"):
        LabelMap({0: 0, 1: 1})(label, FILE)


@pytest.mark.parametrize(
    ("bits", "classes", "expected"),
    [
        (1, {0: 0, 1: 1, VOID: VOID}, [0, 1]),
        (1, {0: 0, VOID: 1}, [0, 1]),
        (2, {0: 0, 255: 1}, [0, 1]),
        (2, {0: 0, 85: 1, 170: 2, 255: 3}, [0, 3]),
        (4, {0: 0, 255: 3}, [0, 3]),
    ],
)
def test_few_bits_stand_for_8_bits_where_only_these_have_classes(
    bits: int, classes: dict[int, int], expected: list[int]
) -> None:
    top = (1 << bits) - 1
    label = RawLabel(np.array([[0, top]], np.uint8), few_bits_values(bits))
    assert LabelMap(classes)(label, FILE).tolist() == [expected]


def test_few_bits_can_always_stand_for_8_bits() -> None:
    label = RawLabel(np.array([[0, 1]], np.uint8), few_bits_values(2))
    label_map = LabelMap({value: value for value in range(171)}, stretch=True)
    assert label_map(label, FILE).tolist() == [[0, 85]]


def test_negative_numbers_have_classes() -> None:
    label = RawLabel(np.array([[-9999, 1]], np.int64))
    assert LabelMap({-9999: VOID, 1: 0})(label, FILE).tolist() == [[VOID, 0]]
    with pytest.raises(ValueError, match="values of -1 to 1, got -9999"):
        LabelMap({-1: 0, 0: 1, 1: 2})(label, FILE)


def test_classes_in_a_single_color_channel_are_named() -> None:
    values = np.array([color_value(v, 0, 7) for v in range(3)])
    assert "red channel" in channel_hint(values)
    assert channel_hint(np.array([RED, GREEN])) == ""
    label = RawLabel(values[None])
    with pytest.raises(ValueError, match="seem to be in the red channel"):
        LabelMap({0: 0, 1: 1})(label, FILE)


@pytest.mark.parametrize(
    ("classes", "hides"),
    [
        ({0: 0, 255: VOID}, True),
        ({0: 0, 1: 1, 255: VOID}, True),
        ({0: 0, 255: 1}, False),
        ({0: 1, 255: VOID}, False),
        ({0: 0, 1: 1}, False),
        ({255: VOID}, False),
    ],
)
def test_a_map_that_makes_masks_of_0_and_255_look_empty_is_known(
    classes: dict[int, int], hides: bool
) -> None:
    assert LabelMap(classes).may_hide_a_class is hides


def test_gray_pixels_from_black_to_white_are_numbers() -> None:
    found = LabelMap({0: 1, 254: 2, 255: 3}).look_up(np.array([gray(0), gray(255)]))
    assert found.tolist() == [1, 3]
    assert found.dtype == np.int16


def test_a_class_of_a_negative_number_is_not_that_of_a_large_one() -> None:
    label_map = LabelMap({-9999: VOID, 0: 1, 65535: 0})
    known = np.array([[0, 65535]], np.uint16)
    assert label_map(RawLabel(known), FILE).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match=r"got 55537 \(1 pixel\)"):
        label_map(RawLabel(np.array([[0, 65536 - 9999]], np.uint16)), FILE)


def test_numbers_beyond_16_bits_have_classes() -> None:
    label_map = LabelMap({1 << 16: 1, 0: 0})
    label = RawLabel(np.array([[1 << 16, 0]], np.int64))
    assert label_map(label, FILE).tolist() == [[1, 0]]


def test_a_palette_with_black_first_is_read_by_its_indices() -> None:
    label = with_palette([0, 1], (0, 0, 0), (255, 255, 255))
    assert LabelMap({0: 0, 1: 1})(label, FILE).tolist() == [[0, 1]]


def test_a_palette_of_one_gray_is_read_by_its_indices() -> None:
    label = with_palette([0, 1], (7, 7, 7), (7, 7, 7))
    assert LabelMap({0: 0, 1: 1, 7: 2})(label, FILE).tolist() == [[0, 1]]


def test_the_color_of_class_0_at_another_index_is_an_error_among_unknown_colors() -> (
    None
):
    label_map = LabelMap({0: 0, 1: 1, RED: 0, GREEN: 1})
    with pytest.raises(ValueError, match="index 0 of color #080808"):
        label_map(with_palette([0, 1], (8, 8, 8), R), FILE)


@pytest.mark.parametrize(
    ("colors", "indices"),
    [
        ((R, G), False),
        ((G, R), True),  # colors and indices stand for the same classes
        (((9, 9, 9), (8, 8, 8)), True),
    ],
)
def test_a_file_tells_whether_it_is_read_by_its_indices(
    colors: tuple[tuple[int, int, int], ...], indices: bool
) -> None:
    label_map = LabelMap({0: 0, 1: 1, 2: 2, RED: 1, GREEN: 0})
    codes = with_palette([0], *colors).codes
    assert codes is not None
    assert label_map.uses_indices(codes[:2]) is indices
    assert label_map.uses_indices(codes[:1]) is indices
    others = [3, RED, *few_bits_values(1)[:2].tolist()]
    assert label_map.uses_indices(np.array([*codes[:2], *others])) is indices
    assert label_map.uses_indices(np.array(others)) is False


def test_values_of_a_palette_file_are_counted_by_their_codes() -> None:
    label = with_palette([0, 2, 2], R, G, B)
    found, counts = count_values(label)
    assert label.codes is not None
    assert found.tolist() == label.codes[[0, 2]].tolist()
    assert counts.tolist() == [1, 2]


@pytest.mark.parametrize("channel", ["red", "green", "blue"])
def test_a_channel_that_differs_alone_is_named(channel: str) -> None:
    index = ["red", "green", "blue"].index(channel)
    colors = np.full((4, 3), 255)
    colors[:, index] = [0, 1, 2, 255]
    values = np.array([color_value(*color) for color in colors.tolist()])
    assert f"in the {channel} channel" in channel_hint(values)
    assert channel_hint(values[:1]) == ""
    assert channel_hint(np.array([*values, color_value(9, 9, 9)])) == ""
    assert channel_hint(np.array([0, 1])) == ""


def test_known_values_are_shown_as_ranges_and_then_as_colors() -> None:
    label_map = LabelMap({-3: 0, -2: 0, 5: 1, 7: 1, 8: 1, RED: 0, GREEN: 1})
    values, counts = np.array([4, 5, 6]), np.array([1, 2, 0])
    assert label_map.fault(values, counts, path=FILE) == (
        "a label must hold values of -3 to -2, 5, 7 to 8, #00ff00, #ff0000, got 4 (1"
        " pixel) in labels/x.png; correct the file, or give num_classes, palette or"
        " label_map"
    )
