import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_classmix import ops
from lightning_classmix.ops import ema


@pytest.mark.parametrize(
    ("step", "decay"), [(0, 0.0), (1, 0.5), (3, 0.75), (98, 98 / 99), (99, 0.99)]
)
def test_ema_decay_rises_to_its_limit(step: int, decay: float) -> None:
    assert ops.ema_decay(step, limit=0.99) == pytest.approx(decay, abs=1e-12)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(limit=st.floats(0, 1, exclude_max=True))
def test_ema_decay_never_decreases_and_never_exceeds_its_limit(limit: float) -> None:
    decays = [ops.ema_decay(step, limit) for step in range(200)]
    assert decays == sorted(decays)
    assert decays[0] == 0
    assert decays[-1] == min(limit, 1 - 1 / 200)


def test_ema_update_moves_a_quarter_of_the_way() -> None:
    average = torch.tensor([0.0, 1.0, 2.0])
    ops.ema_update_([average], [torch.tensor([1.0, 1.0, -2.0])], decay=0.75)
    assert torch.equal(average, torch.tensor([0.25, 1.0, 1.0]))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.5, 0.99, 0.9999])
def test_ema_update_agrees_with_a_loop_over_the_weights(decay: float) -> None:
    torch.manual_seed(0)
    shapes = [(3, 2, 1, 1), (4,), (), (0,)]
    averages = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    values = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    expected = [
        [decay * a + (1 - decay) * v for a, v in zip(past, new, strict=True)]
        for past, new in (
            (average.flatten().tolist(), value.flatten().tolist())
            for average, value in zip(averages, values, strict=True)
        )
    ]
    ops.ema_update_(averages, values, decay)
    for average, weights in zip(averages, expected, strict=True):
        torch.testing.assert_close(
            average.flatten(),
            torch.tensor(weights, dtype=torch.float64),
            rtol=0,
            atol=1e-12,
        )


@pytest.mark.parametrize("shape", [(7, 3, 2), (1, 30), (42,), (3, 4, 5, 2)])
def test_ema_update_of_a_tensor_of_several_blocks_is_that_of_its_elements(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(ema, "_BLOCK", 12)
    average, value = torch.randn(shape), torch.randn(shape)
    if len(shape) == 4:  # another order of the elements in memory
        value = value.contiguous(memory_format=torch.channels_last)
    expected = average + 0.25 * (value - average)
    ops.ema_update_([average], [value], 0.75)
    torch.testing.assert_close(average, expected)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    past=st.floats(-(2.0**100), 2.0**100, width=32),
    new=st.floats(-(2.0**100), 2.0**100, width=32),
    decay=st.floats(0, 1, exclude_max=True),
)
def test_ema_update_stays_between_past_and_value(
    past: float, new: float, decay: float
) -> None:
    average = torch.tensor([past])
    ops.ema_update_([average], [torch.tensor([new])], decay)
    slack = 1e-6 * max(abs(past), abs(new)) + 1e-37  # the last is for subnormals
    assert min(past, new) - slack <= float(average) <= max(past, new) + slack


def test_ema_update_copies_the_values_at_the_first_step() -> None:
    average, value = torch.full((2, 3), 7.0), torch.rand(2, 3)
    ops.ema_update_([average], [value], ops.ema_decay(0, limit=0.99))
    assert torch.equal(average, value)


def test_ema_update_reduces_the_past_by_the_decay_per_update() -> None:
    average = torch.ones(1, dtype=torch.float64)
    for _ in range(10):
        ops.ema_update_([average], [torch.zeros(1)], decay=0.9)
    assert float(average) == pytest.approx(0.9**10, abs=1e-12)


def test_ema_update_works_in_place_and_does_not_change_the_values() -> None:
    average, value = torch.zeros(3), torch.tensor([1.0, math.nan, 3.0])
    before, address = value.clone(), average.data_ptr()
    ops.ema_update_([average], [value], decay=0.5)
    assert average.data_ptr() == address
    assert torch.equal(average, torch.tensor([0.5, 0.0, 1.5]))
    torch.testing.assert_close(value, before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("invalid", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_ema_update_ignores_values_that_are_not_finite(
    invalid: float, decay: float, dtype: torch.dtype
) -> None:
    average = torch.tensor([1.0, 2.0])
    value = torch.tensor([invalid, 4.0], dtype=dtype)
    ops.ema_update_([average], [value], decay)
    expected = torch.tensor([1.0, 2.0 * decay + 4.0 * (1 - decay)])
    torch.testing.assert_close(average, expected)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [(torch.float64, torch.float32), (torch.float32, torch.float16)],
)
@pytest.mark.parametrize(("decay", "moved"), [(0.0, 4.0), (0.5, 3.0)])
def test_ema_update_ignores_values_that_overflow_a_narrower_average(
    wide: torch.dtype, narrow: torch.dtype, decay: float, moved: float
) -> None:
    average = torch.tensor([1.0, 2.0], dtype=narrow)
    value = torch.tensor([torch.finfo(wide).max, 4.0], dtype=wide)
    ops.ema_update_([average], [value], decay)
    assert torch.equal(average, torch.tensor([1.0, moved], dtype=narrow))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ema_update_accumulates_changes_too_small_for_half_precision(
    dtype: torch.dtype,
) -> None:
    average, value = torch.ones(1), torch.full((1,), 1.5, dtype=dtype)
    for _ in range(1000):
        ops.ema_update_([average], [value], decay=0.999)
    expected = torch.tensor([1.5 - 0.5 * 0.999**1000])
    torch.testing.assert_close(average, expected, rtol=1e-4, atol=0)


def test_ema_update_accepts_parameters_and_records_no_gradient() -> None:
    average, value = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    ops.ema_update_([average], [value], decay=0.5)
    assert torch.equal(average, torch.full((2,), 0.5))
    assert average.grad_fn is None


def test_ema_update_accepts_empty_lists() -> None:
    averages: list[Tensor] = []
    ops.ema_update_(averages, [], decay=0.5)
    assert averages == []


@pytest.mark.parametrize(("averages", "values"), [(2, 1), (1, 2)])
def test_ema_update_refuses_lists_of_unequal_length(averages: int, values: int) -> None:
    tensors: list[Tensor] = [torch.zeros(1), torch.zeros(1)]
    with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
        ops.ema_update_(tensors[:averages], tensors[:values], decay=0.5)


class OtherDevice(Tensor):
    """A tensor on the CPU that reports another device, so that its code runs."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_ema_update_on_another_device_is_that_on_the_cpu(decay: float) -> None:
    torch.manual_seed(0)
    past = [torch.randn(3, 2), torch.randn(4)]
    new = [torch.randn(3, 2), torch.tensor([1.0, torch.nan, torch.inf, -torch.inf])]
    expected = [average.clone() for average in past]
    ops.ema_update_(expected, new, decay)
    averages = [average.as_subclass(OtherDevice) for average in past]
    ops.ema_update_(averages, new, decay)
    for average, wanted in zip(past, expected, strict=True):
        torch.testing.assert_close(average, wanted)


@pytest.mark.parametrize("count", [2, 0])
def test_ema_update_refuses_lists_of_different_lengths(count: int) -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        ops.ema_update_([torch.zeros(1)], [torch.zeros(1)] * count, 0.5)


def test_ema_update_of_nothing_does_nothing() -> None:
    ops.ema_update_([], [], 0.5)


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((12,), [12]), ((13,), [12, 1]), ((5, 4), [3, 2]), ((2, 30), [1, 1])],
)
def test_a_large_tensor_is_averaged_in_blocks_of_at_most_the_block_size_or_one_row(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], rows: list[int]
) -> None:
    monkeypatch.setattr(ema, "_BLOCK", 12)
    assert [len(block) for block in ema._blocks(torch.zeros(shape))] == rows


def test_on_the_cpu_every_tensor_is_averaged_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def blocks(tensor: Tensor) -> list[Tensor]:
        sizes.append(tensor.numel())
        return [tensor]

    monkeypatch.setattr(ema, "_blocks", blocks)
    ops.ema_update_(
        [torch.zeros(3), torch.zeros(4)], [torch.ones(3), torch.ones(4)], 0.5
    )
    assert sizes == [3, 3, 4, 4]


def test_finite_values_are_not_tested_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(average: Tensor, value: Tensor) -> Tensor:
        raise AssertionError("this takes twice the time")

    average, value = torch.randn(5, 4), torch.randn(5, 4)
    slow = average + 0.25 * (value - average)
    monkeypatch.setattr(ema, "_finite_move", refuse)
    ops.ema_update_([average], [value], 0.75)
    torch.testing.assert_close(average, slow)


@pytest.mark.parametrize(
    "bad", [[torch.nan], [torch.inf], [torch.inf, -torch.inf], [3e38, 3e38]]
)
def test_a_block_whose_sum_is_not_finite_moves_where_its_values_are(
    bad: list[float],
) -> None:
    value = torch.cat([torch.ones(3), torch.tensor(bad)])
    average = torch.zeros_like(value)
    ops.ema_update_([average], [value], 0.75)
    finite = torch.tensor(bad).where(torch.tensor(bad).isfinite(), torch.tensor(0.0))
    torch.testing.assert_close(average, 0.25 * torch.cat([torch.ones(3), finite]))
