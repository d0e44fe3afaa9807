import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_classmix import ops


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loop_mix(x: Tensor, mask: Tensor) -> Tensor:
    """Paste image by image and pixel by pixel, channels together."""
    mixed = torch.empty_like(x)
    batch, height, width = mask.shape
    for index in torch.cartesian_prod(*map(torch.arange, (batch, height, width))):
        i, row, column = index.tolist()
        source = i if mask[i, row, column] else (i + 1) % batch
        mixed[i, ..., row, column] = x[source, ..., row, column]
    return mixed


def test_mix_keeps_the_marked_pixels_and_takes_the_rest_from_the_next_image() -> None:
    x = torch.tensor([[[1, 1]], [[2, 2]], [[3, 3]]])
    mask = torch.tensor([[[True, False]], [[False, False]], [[False, True]]])
    expected = torch.tensor([[[1, 2]], [[3, 3]], [[1, 3]]])
    assert torch.equal(ops.mix(x, mask), expected)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.uint8,
        torch.bool,
    ],
)
def test_mix_agrees_with_a_loop_over_the_pixels(
    channels: tuple[int, ...], dtype: torch.dtype
) -> None:
    generator = seeded()
    x = (torch.rand(4, *channels, 3, 5, generator=generator) * 2).to(dtype)
    mask = torch.rand(4, 3, 5, generator=generator) < 0.5
    mixed = ops.mix(x, mask)
    assert mixed.dtype == dtype
    assert torch.equal(mixed, loop_mix(x, mask))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(batch=st.integers(2, 5), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_mix_moves_image_label_and_confidence_alike(
    batch: int, share: float, seed: int
) -> None:
    generator = seeded(seed)
    label = torch.randint(12, (batch, 3, 4), generator=generator)
    mask = torch.rand(batch, 3, 4, generator=generator) < share
    image = label[:, None] * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    mixed = ops.mix(label, mask)
    assert torch.equal(ops.mix(image, mask)[:, 1], 2.0 * mixed)
    assert torch.equal(ops.mix(label / 12, mask), mixed / 12)


def test_mix_of_probabilities_then_argmax_is_the_mix_of_labels() -> None:
    generator = seeded()
    probability = torch.randn(3, 5, 4, 6, generator=generator).softmax(1)
    mask = torch.rand(3, 4, 6, generator=generator) < 0.5
    mixed = ops.mix(probability, mask)
    assert torch.equal(mixed.argmax(1), ops.mix(probability.argmax(1), mask))


def test_mix_with_a_full_mask_keeps_x_and_with_an_empty_mask_rolls_it() -> None:
    x = torch.randn(3, 2, 4, 4, generator=seeded())
    full = torch.ones(3, 4, 4, dtype=torch.bool)
    assert torch.equal(ops.mix(x, full), x)
    assert torch.equal(ops.mix(x, ~full), x[[1, 2, 0]])


def test_mix_returns_the_gradient_to_the_source_of_each_pixel() -> None:
    x = torch.zeros(2, 1, 2, requires_grad=True)
    mask = torch.tensor([[[True, False]], [[True, True]]])
    factor = torch.tensor([[[1.0, 10.0]], [[100.0, 1000.0]]])
    (gradient,) = torch.autograd.grad((ops.mix(x, mask) * factor).sum(), x)
    assert torch.equal(gradient, torch.tensor([[[1.0, 0.0]], [[100.0, 1010.0]]]))


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_mix_refuses_a_batch_of_fewer_than_two_images(
    batch: int, channels: tuple[int, ...]
) -> None:
    mask = torch.ones(batch, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=f"at least 2 images, got {batch};"):
        ops.mix(torch.zeros(batch, *channels, 4, 4), mask)


@pytest.mark.parametrize(
    ("x", "mask"),
    [
        ((2, 4, 4), (2, 4, 5)),
        ((2, 3, 4, 4), (3, 4, 4)),
        ((2, 3, 4, 4), (2, 3, 4, 4)),
        ((2, 4), (2, 4)),
        ((2, 1, 3, 4, 4), (2, 4, 4)),
    ],
)
def test_mix_refuses_shapes_that_do_not_match(
    x: tuple[int, ...], mask: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"x must be .* of the same size, got \(2, "):
        ops.mix(torch.zeros(x), torch.ones(mask, dtype=torch.bool))
