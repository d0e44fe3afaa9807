import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_classmix import ops


@pytest.mark.parametrize(
    ("step", "total", "power", "factor"),
    [(0, 10, 0.9, 1.0), (5, 10, 1.0, 0.5), (5, 10, 2.0, 0.25), (10, 10, 0.9, 0.0)],
)
def test_poly_falls_from_one_to_zero(
    step: int, total: int, power: float, factor: float
) -> None:
    assert ops.poly(step, total, power) == pytest.approx(factor, abs=1e-12)


def test_poly_has_a_power_of_0_9_by_default() -> None:
    assert ops.poly(20_000, 40_000) == pytest.approx(0.5**0.9, abs=1e-12)


def test_poly_stays_zero_after_the_last_step() -> None:
    assert ops.poly(11, 10) == 0.0


@settings(deadline=None, max_examples=50, derandomize=True)
@given(total=st.integers(1, 200), power=st.floats(0.1, 3.0))
def test_poly_never_rises_and_stays_between_zero_and_one(
    total: int, power: float
) -> None:
    factors = [ops.poly(step, total, power) for step in range(total + 2)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1
    assert factors[-1] == 0


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, math.exp(-5)), (5, math.exp(-1.25)), (9, math.exp(-0.05)), (10, 1.0)],
)
def test_sigmoid_ramp_follows_its_formula(step: int, factor: float) -> None:
    assert ops.sigmoid_ramp(step, 10) == pytest.approx(factor, abs=1e-12)


def test_sigmoid_ramp_stays_one_after_its_length() -> None:
    assert ops.sigmoid_ramp(11, 10) == 1.0


@pytest.mark.parametrize("step", [-5, 0, 5])
def test_sigmoid_ramp_of_length_zero_is_one_at_every_step(step: int) -> None:
    assert ops.sigmoid_ramp(step, 0) == 1.0


def test_sigmoid_ramp_treats_negative_steps_as_zero() -> None:
    assert ops.sigmoid_ramp(-3, 10) == ops.sigmoid_ramp(0, 10)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(length=st.integers(1, 200))
def test_sigmoid_ramp_never_falls_and_stays_between_zero_and_one(length: int) -> None:
    factors = [ops.sigmoid_ramp(step, length) for step in range(-1, length + 2)]
    assert factors == sorted(factors)
    assert factors[0] > 0
    assert factors[-1] == 1
