from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_classmix.datasets.pixel_range import (
    estimate_range,
    range_warning,
    to_unit_range,
)


def test_pixels_of_8_bits_are_unchanged_without_a_range() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert to_unit_range(image, None) is image


@pytest.mark.parametrize(
    ("values", "value_range", "expected"),
    [
        (np.array([0, 32767.5, 65535]).astype(np.uint16), None, [0, 0.5, 1]),
        (np.array([0, 2048, 9999], np.uint16), (0, 4096), [0, 0.5, 1]),
        (np.array([0.0, 0.25, 1.0], np.float32), None, [0, 0.25, 1]),
        (np.array([-200, 0, 200], np.int32), (-100, 100), [0, 0.5, 1]),
        (np.array([0, 100, 255], np.uint8), (0, 200), [0, 0.5, 1]),
    ],
)
def test_the_range_becomes_0_to_1(
    values: Any, value_range: Any, expected: list[float]
) -> None:
    unit = to_unit_range(values[None, :, None], value_range)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit.ravel(), expected, atol=1e-4)


def test_levels_of_12_bits_in_16_bits_stay_different() -> None:
    image = np.arange(4096, dtype=np.uint16)[None, :, None]
    assert len(np.unique(to_unit_range(image, (0, 4095)))) == 4096


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0.0, 255.0], np.float32), r"in \[0, 1\] without .*\[0, 255\]; give"),
        (np.array([0, 7], np.int32), "uint8 or uint16 without value_range, got int32"),
    ],
)
def test_other_types_need_a_range(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_unit_range(values[None, :, None], None)


def test_percentiles_are_the_range() -> None:
    images = [
        np.full((10, 10, 1), 100, np.uint16),
        np.full((10, 10, 1), 900, np.uint16),
    ]
    assert estimate_range(images) == (100, 900)
    with pytest.raises(ValueError, match="value_range must span several"):
        estimate_range(images[:1])


def test_images_with_few_levels_are_warned_of() -> None:
    path = Path("x.png")
    warning = range_warning([(4095, path), (20, path)])
    assert warning is not None
    assert "2 images of 16 bits hold values up to 4095" in warning
    assert "value_range='auto'" in warning
    assert range_warning([(4095, path), (60000, path)]) is None
    assert range_warning([]) is None
