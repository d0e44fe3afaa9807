import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lightning_classmix import ops


@given(length=st.integers(1, 60), window=st.integers(1, 25))
def test_windows_cover_a_side_and_end_at_its_border(length: int, window: int) -> None:
    starts = ops.window_starts(length, window)
    covered = {start + i for start in starts for i in range(min(window, length))}
    assert covered == set(range(length))
    assert starts == sorted(set(starts))
    stride = max(1, window * 2 // 3)
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(step == stride for step in steps[:-1])
    assert all(0 < step <= stride for step in steps)


def test_neighboring_windows_overlap_by_a_third() -> None:
    assert ops.window_starts(20, 9) == [0, 6, 11]


def test_probabilities_are_averaged_where_windows_overlap() -> None:
    results = iter([torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])])

    def network(image: Tensor) -> Tensor:
        return next(results).log()[None, :, None, None].expand(1, 2, *image.shape[2:])

    logits = ops.sliding_window(network, torch.zeros(1, 3, 3, 4), (3, 3))
    probability = logits.softmax(1)[0, 0, 0]
    torch.testing.assert_close(probability, torch.tensor([0.9, 0.7, 0.7, 0.5]))


def test_windows_do_not_change_a_pixelwise_network() -> None:
    network: Any = torch.nn.Conv2d(3, 5, 1)
    image = torch.randn(2, 3, 17, 23)
    with torch.no_grad():
        logits = ops.sliding_window(network, image, (8, 8))
        expected = network(image).log_softmax(1)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_an_image_smaller_than_the_window_is_passed_as_it_is() -> None:
    seen = []

    def network(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image

    ops.sliding_window(network, torch.zeros(1, 3, 5, 30), (8, 12))
    assert {shape[2:] for shape in seen} == {(5, 12)}


def test_a_certain_network_gives_finite_logits() -> None:
    def network(image: Tensor) -> Tensor:
        return torch.stack([image[:, 0], image[:, 0] - 1000], dim=1)

    logits = ops.sliding_window(network, torch.zeros(1, 3, 4, 4), (4, 4))
    assert logits.isfinite().all()


def test_a_window_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"window must be at least 1, got \(0, 4\)"):
        ops.sliding_window(lambda x: x, torch.zeros(1, 3, 4, 4), (0, 4))


def compare_left(image: Tensor) -> Tensor:
    """Return logits of a pixel from its own values and those of its left neighbor."""
    left = torch.nn.functional.pad(image, (1, 0))[..., :-1]
    return torch.cat([image - left, 2 * left], dim=1)


def test_the_result_for_the_mirror_image_is_mirrored_and_averaged() -> None:
    image = torch.randn(2, 3, 4, 5)
    expected = torch.empty(2, 6, 4, 5)
    for row in range(4):
        for column in range(5):
            here = image[:, :, row, column]
            left, right = (
                image[:, :, row, side] if 0 <= side < 5 else torch.zeros(2, 3)
                for side in (column - 1, column + 1)
            )
            straight, mirrored = (
                torch.cat([here - beside, 2 * beside], dim=1).softmax(1)
                for beside in (left, right)
            )
            expected[:, :, row, column] = 0.5 * straight + 0.5 * mirrored
    probability = ops.flip_average(compare_left, image).softmax(1)
    torch.testing.assert_close(probability, expected)


def test_flip_average_does_not_change_a_symmetric_network() -> None:
    network: Any = torch.nn.Conv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        network.weight += network.weight.flip(-1).clone()
        image = torch.randn(2, 3, 6, 7)
        logits, expected = ops.flip_average(network, image), network(image)
    torch.testing.assert_close(logits.softmax(1), expected.softmax(1))


def test_the_mirror_image_is_split_into_windows_of_its_own() -> None:
    def windows(image: Tensor) -> Tensor:
        return ops.sliding_window(compare_left, image, (4, 5))

    image = torch.randn(1, 3, 4, 12)
    straight, mirrored = (
        windows(image).softmax(1),
        windows(image.flip(3)).softmax(1).flip(3),
    )
    assert not torch.allclose(straight, mirrored)
    probability = ops.flip_average(windows, image).softmax(1)
    torch.testing.assert_close(probability, (straight + mirrored) / 2)


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_averages_are_in_at_least_float32(
    given: torch.dtype, returned: torch.dtype
) -> None:
    image = torch.randn(1, 3, 4, 4, dtype=given)
    # An average in half precision would be off by 1e-3.
    expected = (-image).to(returned).softmax(1)
    for logits in (
        ops.flip_average(torch.neg, image),
        ops.sliding_window(torch.neg, image, (3, 3)),
    ):
        assert logits.dtype == returned
        torch.testing.assert_close(logits.softmax(1), expected)


def test_a_certain_network_gives_finite_logits_with_the_mirror_image() -> None:
    def network(image: Tensor) -> Tensor:
        return torch.stack([image[:, 0], image[:, 0] - 1000], dim=1)

    assert ops.flip_average(network, torch.zeros(1, 3, 4, 4)).isfinite().all()


def test_an_image_without_a_batch_dimension_is_refused() -> None:
    # A convolution would accept it, and treat its rows as classes.
    image = torch.zeros(3, 4, 4)
    message = r"image must have shape \(B, C_in, H, W\), got \(3, 4, 4\)"
    with pytest.raises(ValueError, match=message):
        ops.flip_average(torch.neg, image)
    with pytest.raises(ValueError, match=message):
        ops.sliding_window(torch.neg, image, (4, 4))
    with pytest.raises(ValueError, match=message):
        ops.padded(torch.neg, image, (4, 4))


def test_a_small_image_is_padded_by_zeros_at_the_bottom_and_the_right() -> None:
    seen: list[Tensor] = []
    image = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    result = ops.padded(lambda x: seen.append(x) or 2 * x, image, (4, 5))  # type: ignore[func-returns-value]
    assert seen[0][0, 0].tolist() == [
        [1, 2, 3, 0, 0],
        [4, 5, 6, 0, 0],
        [0] * 5,
        [0] * 5,
    ]
    assert torch.equal(result, 2 * image)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    least=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_only_sides_below_the_size_are_padded(
    height: int, width: int, least: tuple[int, int]
) -> None:
    seen: list[tuple[int, ...]] = []

    def network(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image

    image = torch.rand(2, 3, height, width)
    assert torch.equal(ops.padded(network, image, least), image)
    assert seen == [(2, 3, max(height, least[0]), max(width, least[1]))]
