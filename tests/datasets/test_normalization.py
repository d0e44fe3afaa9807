from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch

from lightning_classmix.datasets.normalization import Normalization


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_results_are_those_of_albumentations_bit_for_bit(
    channels: int, dtype: Any
) -> None:
    generator = np.random.default_rng(0)
    mean = tuple(generator.uniform(0.2, 0.8, channels))
    std = tuple(generator.uniform(0.1, 0.4, channels))
    levels = generator.integers(0, 256, (9, 11, channels), np.uint8)
    pixels = levels if dtype == np.uint8 else (levels / 255).astype(np.float32)
    scale = 255.0 if dtype == np.uint8 else 1.0
    expected = A.Normalize(mean, std, max_pixel_value=scale)(image=pixels)["image"]
    planes = torch.from_numpy(expected.reshape(9, 11, channels)).permute(2, 0, 1)
    assert torch.equal(Normalization(mean, std)(pixels), planes)


def test_a_crop_is_normalized_in_place_of_its_image() -> None:
    image = np.arange(300, dtype=np.uint16).astype(np.uint8).reshape(10, 10, 3)
    crop = image[2:7, 3:9]
    normalize = Normalization((0.5,) * 3, (0.25,) * 3)
    assert torch.equal(normalize(crop), normalize(image)[:, 2:7, 3:9])


def test_float_pixels_beyond_the_range_are_clipped() -> None:
    pixels = np.array([[[-0.1], [1.2]]], np.float32)
    result = Normalization((0.0,), (1.0,))(pixels)
    assert result.tolist() == [[[0.0, 1.0]]]
