import math

import pytest

from lightning_classmix.ops.ranges import RANGES, Range, check_ranges


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Range(0), "at least 0"),
        (Range(0, excluded=(0,)), "greater than 0"),
        (Range(0, 1), "in [0, 1]"),
        (Range(0, 1, excluded=(1,)), "in [0, 1)"),
        (Range(0, 1, excluded=(0, 1)), "in (0, 1)"),
    ],
)
def test_a_range_is_written_as_an_interval(interval: Range, text: str) -> None:
    assert str(interval) == text


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_the_ends_of_a_range_belong_to_it_unless_excluded(value: float) -> None:
    assert Range(0, 1).holds(value)
    assert Range(0, 1, excluded=(0, 1)).holds(value) is (value == 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_range_holds_nan_or_infinity(value: float) -> None:
    assert not any(interval.holds(value) for interval in RANGES.values())


def test_each_number_of_a_pair_is_checked() -> None:
    check_ranges(crop=(1, 1), size=None)
    with pytest.raises(ValueError, match=r"crop must be at least 1, got \(5, 0\)$"):
        check_ranges(crop=[5, 0])


def test_the_error_ends_with_the_reason() -> None:
    with pytest.raises(
        ValueError, match=r"at least 2, got 1; ClassMix pastes each image into another$"
    ):
        check_ranges(unlabeled_batch_size=1)
