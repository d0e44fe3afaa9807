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


def test_neighbouring_windows_share_a_third() -> None:
    assert ops.window_starts(20, 9) == [0, 6, 11]


def test_overlaps_are_averaged_in_probability() -> None:
    answers = iter([torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])])

    def network(image: Tensor) -> Tensor:
        return next(answers).log()[None, :, None, None].expand(1, 2, *image.shape[2:])

    logits = ops.sliding_window(network, torch.zeros(1, 3, 3, 4), (3, 3))
    probability = logits.softmax(1)[0, 0, 0]
    torch.testing.assert_close(probability, torch.tensor([0.9, 0.7, 0.7, 0.5]))


def test_a_network_that_looks_at_one_pixel_says_the_same_window_by_window() -> None:
    network: Any = torch.nn.Conv2d(3, 5, 1)
    image = torch.randn(2, 3, 17, 23)
    with torch.no_grad():
        logits = ops.sliding_window(network, image, (8, 8))
        expected = network(image).log_softmax(1)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_an_image_smaller_than_the_window_is_taken_whole() -> None:
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
    with pytest.raises(ValueError, match=r"window must be at least 1 x 1, got 0 x 4"):
        ops.sliding_window(lambda x: x, torch.zeros(1, 3, 4, 4), (0, 4))
