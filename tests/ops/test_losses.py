import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_classmix import ops

LN2 = math.log(2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loop_cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor, ignore_index: int = 255
) -> float:
    """Sum over the pixels; divide by the number of pixels that are not void."""
    total, count = 0.0, 0
    batch, classes, height, width = logits.shape
    for index in torch.cartesian_prod(*map(torch.arange, (batch, height, width))):
        b, y, x = index.tolist()
        true = int(label[b, y, x])
        if true == ignore_index or not 0 <= true < classes:
            continue
        scores = logits[b, :, y, x].tolist()
        entropy = math.log(sum(math.exp(each) for each in scores)) - scores[true]
        total += float(weight[b, y, x]) * entropy
        count += 1
    return total / max(1, count)


def loop_mean_squared_error(
    logits: Tensor, probabilities: Tensor, weight: Tensor, valid: Tensor
) -> float:
    """Average over the classes of each pixel, then over the valid pixels."""
    total, count = 0.0, 0
    batch, classes, height, width = logits.shape
    for index in torch.cartesian_prod(*map(torch.arange, (batch, height, width))):
        b, y, x = index.tolist()
        if not valid[b, y, x]:
            continue
        odds = [math.exp(each) for each in logits[b, :, y, x].tolist()]
        target = probabilities[b, :, y, x].tolist()
        errors = [(o / sum(odds) - t) ** 2 for o, t in zip(odds, target, strict=True)]
        total += float(weight[b, y, x]) * sum(errors) / classes
        count += 1
    return total / max(1, count)


# Cross-entropy


def test_cross_entropy_of_equal_logits_is_the_log_of_the_number_of_classes() -> None:
    loss = ops.cross_entropy(torch.zeros(2, 7, 3, 3), torch.full((2, 3, 3), 4))
    torch.testing.assert_close(loss, torch.tensor(math.log(7)))


def test_cross_entropy_is_minus_the_log_probability_of_the_label() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()[None, :, None, None]
    for label, nats in enumerate([LN2, 2 * LN2, 3 * LN2, 3 * LN2]):
        loss = ops.cross_entropy(logits, torch.tensor([[[label]]]))
        torch.testing.assert_close(loss, torch.tensor(nats))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(seed=st.integers(0, 1000), ignore_index=st.sampled_from([255, 0, 11, -1]))
def test_cross_entropy_agrees_with_a_loop_over_the_pixels(
    seed: int, ignore_index: int
) -> None:
    generator = seeded(seed)
    logits = 3 * torch.randn(2, 12, 2, 3, generator=generator, dtype=torch.float64)
    values = torch.tensor([0, 5, 11, 255, -1, 12, -100])
    label = values[torch.randint(7, (2, 2, 3), generator=generator)]
    weight = torch.rand(2, 2, 3, generator=generator, dtype=torch.float64)
    loss = ops.cross_entropy(logits, label, weight=weight, ignore_index=ignore_index)
    expected = loop_cross_entropy(logits, label, weight, ignore_index)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_without_void_and_weight_equals_torch() -> None:
    logits = torch.randn(2, 5, 3, 4, generator=seeded())
    label = torch.randint(5, (2, 3, 4), generator=seeded())
    loss = ops.cross_entropy(logits, label)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, label))


def test_cross_entropy_divides_by_the_number_of_pixels_and_not_by_their_weights() -> (
    None
):
    logits, label = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 0, 255]]])
    weight = torch.tensor([[[1.0, 0.0, 0.0, 1.0]]])
    loss = ops.cross_entropy(logits, label, weight=weight)
    torch.testing.assert_close(loss, torch.tensor(LN2 / 3))


def test_cross_entropy_is_proportional_to_its_weight() -> None:
    logits = torch.randn(2, 5, 3, 4, generator=seeded())
    label = torch.randint(5, (2, 3, 4), generator=seeded())
    weight = torch.full((2, 3, 4), 0.25)
    loss = ops.cross_entropy(logits, label, weight=weight)
    torch.testing.assert_close(loss, ops.cross_entropy(logits, label) / 4)


@pytest.mark.parametrize("void", [255, -1, -100, 2, 254])
def test_cross_entropy_ignores_void_and_labels_out_of_range(void: int) -> None:
    logits = torch.tensor([[0.0, 50.0], [0.0, -50.0]]).view(1, 2, 1, 2)
    loss = ops.cross_entropy(logits, torch.tensor([[[1, void]]]))
    torch.testing.assert_close(loss, torch.tensor(LN2))


def test_cross_entropy_ignores_an_ignore_index_below_num_classes() -> None:
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 0, 0, 1] = 50.0
    loss = ops.cross_entropy(logits, torch.tensor([[[1, 2]]]), ignore_index=2)
    torch.testing.assert_close(loss, torch.tensor(math.log(3)))


def test_cross_entropy_sends_no_gradient_to_void() -> None:
    logits = torch.randn(1, 3, 2, 2, generator=seeded()).requires_grad_()
    loss = ops.cross_entropy(logits, torch.tensor([[[0, 255], [-1, 2]]]))
    (gradient,) = torch.autograd.grad(loss, logits)
    moved = gradient.abs().sum(1) > 0
    assert torch.equal(moved, torch.tensor([[[True, False], [False, True]]]))


@pytest.mark.parametrize("void", [255, -1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_void_only_is_zero_and_so_is_its_gradient(
    void: int, weighted: bool
) -> None:
    logits = torch.randn(2, 3, 4, 4, generator=seeded()).requires_grad_()
    weight = torch.zeros(2, 4, 4) if weighted else None
    loss = ops.cross_entropy(logits, torch.full((2, 4, 4), void), weight=weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert torch.equal(gradient, torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cross_entropy_of_half_precision_is_summed_in_float32(
    dtype: torch.dtype,
) -> None:
    # The sum, 0.69 · 400², would be infinite in float16.
    logits = torch.zeros(1, 2, 400, 400, dtype=dtype)
    loss = ops.cross_entropy(logits, torch.zeros(1, 400, 400, dtype=torch.int64))
    torch.testing.assert_close(loss, torch.tensor(LN2))


def test_cross_entropy_has_the_gradient_of_finite_differences() -> None:
    logits = torch.randn(1, 3, 2, 2, generator=seeded(), dtype=torch.float64)
    label = torch.tensor([[[0, 255], [2, 1]]])
    weight = torch.tensor([[[0.5, 1.0], [0.0, 2.0]]], dtype=torch.float64)

    def loss(logits: Tensor) -> Tensor:
        return ops.cross_entropy(logits, label, weight=weight)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


def test_cross_entropy_refuses_logits_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"logits must have .* got \(3, 4, 4\)"):
        ops.cross_entropy(torch.zeros(3, 4, 4), torch.zeros(4, 4).long())


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 4, 4), (2, 1, 4, 4)])
def test_cross_entropy_refuses_a_label_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"label must have shape \(2, 4, 4\) for"):
        ops.cross_entropy(torch.zeros(2, 3, 4, 4), torch.zeros(shape).long())


@pytest.mark.parametrize("shape", [(), (1,), (1, 4, 4), (2, 1, 4, 4)])
def test_cross_entropy_refuses_a_weight_of_another_shape(
    shape: tuple[int, ...],
) -> None:
    label = torch.zeros(2, 4, 4).long()
    with pytest.raises(ValueError, match=r"weight must have shape \(2, 4, 4\) for"):
        ops.cross_entropy(torch.zeros(2, 3, 4, 4), label, weight=torch.ones(shape))


# Mean squared error


def test_mean_squared_error_averages_over_classes_and_pixels() -> None:
    # Squared distances: 1/4 and 1/4 in the first pixel, 0 and 0 in the second.
    target = torch.tensor([[[[1.0, 0.5]], [[0.0, 0.5]]]])
    loss = ops.mean_squared_error(torch.zeros(1, 2, 1, 2), target)
    torch.testing.assert_close(loss, torch.tensor(0.125))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_mean_squared_error_agrees_with_a_loop_over_the_pixels(
    seed: int, share: float
) -> None:
    generator = seeded(seed)
    shape = (2, 4, 2, 3)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randn(shape, generator=generator, dtype=torch.float64).softmax(1)
    weight = torch.rand(2, 2, 3, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 2, 3, generator=generator) < share
    loss = ops.mean_squared_error(logits, target, weight=weight, valid=valid)
    expected = loop_mean_squared_error(logits, target, weight, valid)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_mean_squared_error_without_valid_counts_every_pixel() -> None:
    generator = seeded()
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    target = torch.randn(2, 3, 4, 4, generator=generator).softmax(1)
    loss = ops.mean_squared_error(logits, target)
    everywhere = torch.ones(2, 4, 4, dtype=torch.bool)
    again = ops.mean_squared_error(logits, target, valid=everywhere)
    torch.testing.assert_close(loss, again)
    torch.testing.assert_close(loss, functional.mse_loss(logits.softmax(1), target))


def test_mean_squared_error_of_equal_distributions_is_zero() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=seeded())
    assert float(ops.mean_squared_error(logits, logits.softmax(1))) == 0


def test_mean_squared_error_of_two_classes_is_at_most_one() -> None:
    logits = torch.tensor([100.0, -100.0])[None, :, None, None]
    loss = ops.mean_squared_error(logits, torch.tensor([0.0, 1.0])[None, :, None, None])
    torch.testing.assert_close(loss, torch.tensor(1.0))


def test_mean_squared_error_divides_by_the_number_of_pixels_and_not_their_weights() -> (
    None
):
    target = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    weight = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    loss = ops.mean_squared_error(torch.zeros(1, 2, 1, 4), target, weight=weight)
    torch.testing.assert_close(loss, torch.tensor(0.25 / 4))


@pytest.mark.parametrize("padding", [0.0, 1.0, math.nan])
def test_mean_squared_error_does_not_depend_on_the_target_of_padding(
    padding: float,
) -> None:
    target = torch.tensor([[1.0, padding], [0.0, padding]]).view(1, 2, 1, 2)
    valid = torch.tensor([[[True, False]]])
    loss = ops.mean_squared_error(torch.zeros(1, 2, 1, 2), target, valid=valid)
    torch.testing.assert_close(loss, torch.tensor(0.25))


def test_mean_squared_error_sends_no_gradient_to_padding() -> None:
    logits = torch.randn(1, 3, 1, 2, generator=seeded()).requires_grad_()
    target = torch.randn(1, 3, 1, 2, generator=seeded(1)).softmax(1)
    valid = torch.tensor([[[True, False]]])
    loss = ops.mean_squared_error(logits, target, valid=valid)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient.abs().sum(1) > 0, valid)


def test_mean_squared_error_of_nothing_valid_is_zero_and_so_is_its_gradient() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=seeded()).requires_grad_()
    target = torch.randn(2, 3, 4, 4, generator=seeded(1)).softmax(1)
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    loss = ops.mean_squared_error(logits, target, valid=nothing)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert torch.equal(gradient, torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mean_squared_error_of_half_precision_is_summed_in_float32(
    dtype: torch.dtype,
) -> None:
    # The sum, 600² / 4, would be infinite in float16.
    logits = torch.zeros(1, 2, 600, 600, dtype=dtype)
    target = torch.tensor([1.0, 0.0], dtype=dtype).view(1, 2, 1, 1).expand_as(logits)
    valid = torch.ones(1, 600, 600, dtype=torch.bool)
    for each in (None, valid):
        loss = ops.mean_squared_error(logits, target, valid=each)
        torch.testing.assert_close(loss, torch.tensor(0.25))


def test_mean_squared_error_has_the_gradient_of_finite_differences() -> None:
    logits = torch.randn(1, 3, 2, 2, generator=seeded(), dtype=torch.float64)
    target = torch.randn(1, 3, 2, 2, generator=seeded(1), dtype=torch.float64)
    target = target.softmax(1)
    weight = torch.tensor([[[0.5, 1.0], [0.0, 2.0]]], dtype=torch.float64)
    valid = torch.tensor([[[True, False], [True, True]]])

    def loss(logits: Tensor) -> Tensor:
        return ops.mean_squared_error(logits, target, weight=weight, valid=valid)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


def test_mean_squared_error_refuses_logits_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"logits must have .* got \(3, 4, 4\)"):
        ops.mean_squared_error(torch.zeros(3, 4, 4), torch.zeros(3, 4, 4))


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 4), (1, 3, 4, 4)])
def test_mean_squared_error_refuses_a_target_of_another_shape(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(ValueError, match=r"probabilities must .* \(2, 3, 4, 4\), got"):
        ops.mean_squared_error(torch.zeros(2, 3, 4, 4), torch.zeros(shape))


@pytest.mark.parametrize("name", ["weight", "valid"])
@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 1, 4, 4), ()])
def test_mean_squared_error_refuses_a_weight_or_valid_of_another_shape(
    name: str, shape: tuple[int, ...]
) -> None:
    logits = torch.zeros(2, 3, 4, 4)
    other = {name: torch.ones(shape, dtype=torch.bool)}
    with pytest.raises(ValueError, match=rf"{name} must have shape \(2, 4, 4\) for"):
        ops.mean_squared_error(logits, logits, **other)
