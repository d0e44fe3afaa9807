import random
from typing import Any

import albumentations as A
import numpy as np
import pytest
from numpy.typing import NDArray

from lightning_classmix.datasets.augmentation import resize, resize_image
from lightning_classmix.datasets.transforms import training_pipeline


def composition(
    crop: tuple[int, int] | None,
    scale: tuple[float, float],
    jitter: float,
    fill: tuple[float, ...],
) -> A.Compose:
    """Return albumentations steps that do the same as the standard augmentation."""
    steps: list[A.BasicTransform] = [A.HorizontalFlip(p=0.5)]
    if crop is not None:
        steps += [
            A.RandomScale(scale_limit=(scale[0] - 1, scale[1] - 1), p=1.0),
            A.RandomCrop(*crop),
        ]
        color = fill if len(fill) <= 3 else 0  # albumentations has no other for more
        padding = A.PadIfNeeded(*crop, position="random", fill=color, fill_mask=255)
        steps.insert(2, padding)
    if jitter:
        strength = (1 - jitter, 1 + jitter)
        hue = (-jitter / 5, jitter / 5)
        steps.append(A.ColorJitter(strength, strength, strength, hue, p=0.8))
    return A.Compose(steps, additional_targets={"inside": "mask"})


def share_generator(pipeline: A.Compose, seed: int) -> None:
    """Let all steps draw from one generator."""
    generators = np.random.default_rng(seed), random.Random(seed)
    for step in pipeline.transforms:
        step.set_random_state(*generators)


def pixels(channels: int, dtype: Any) -> NDArray[Any]:
    generator = np.random.default_rng(channels)
    if dtype == np.uint8:
        return generator.integers(0, 256, (44, 60, channels), np.uint8)
    return generator.random((44, 60, channels), np.float32)


@pytest.mark.parametrize("crop", [None, (32, 32), (48, 70)])
@pytest.mark.parametrize("jitter", [0.0, 0.25])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.float32)]
)
def test_results_are_those_of_albumentations_bit_for_bit(
    crop: tuple[int, int] | None, jitter: float, channels: int, dtype: Any
) -> None:
    image = pixels(channels, dtype)
    label = np.random.default_rng(1).integers(0, 5, (44, 60), np.uint8)
    mean = (0.3, 0.5, 0.6)[:channels]
    fill = tuple(m * 255 for m in mean) if dtype == np.uint8 else mean
    ours = training_pipeline(crop=crop, jitter=jitter, mean=mean)
    theirs = composition(crop, (0.5, 2.0), jitter, fill)
    for seed in range(20):
        result = ours(image, label, seed)
        share_generator(theirs, seed)
        inside = np.full(label.shape, 254, np.uint8)
        expected = theirs(image=image, mask=label, inside=inside)
        assert result.image.dtype == dtype
        assert np.array_equal(result.image, expected["image"])
        assert result.label is not None
        assert np.array_equal(result.label, expected["mask"])
        assert np.array_equal(result.valid, expected["inside"] == 254)


@pytest.mark.parametrize("channels", [5, 6, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_many_channels_are_scaled_as_by_albumentations(
    channels: int, dtype: Any
) -> None:
    image = pixels(channels, dtype)
    ours = training_pipeline(crop=(20, 20), mean=(0.5,) * channels)
    theirs = composition((20, 20), (0.5, 2.0), 0.0, (0.5,) * channels)
    for seed in range(10):
        share_generator(theirs, seed)
        expected = theirs(image=image)["image"]
        assert np.array_equal(ours(image, None, seed).image, expected)


def test_padding_of_many_channels_is_their_mean() -> None:
    image = pixels(6, np.uint8)
    mean = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    result = training_pipeline(crop=(99, 99), scale=(1.0, 1.0), mean=mean)(
        image, None, 0
    )
    padding = result.image[~result.valid]
    assert (padding == np.round(255 * np.array(mean))).all()


@pytest.mark.parametrize("size", [(20, 30), (60, 90), (20, 90), (44, 60)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_images_are_resized_as_by_albumentations(
    size: tuple[int, int], channels: int
) -> None:
    image = pixels(channels, np.uint8)
    expected = A.Resize(*size, area_for_downscale="image")(image=image)["image"]
    assert np.array_equal(resize_image(image, size), expected)


def test_an_image_of_the_right_size_is_returned_as_it_is() -> None:
    image = pixels(3, np.uint8)
    assert resize(image, (44, 60), 0) is image


def test_the_choices_of_one_image_are_independent() -> None:
    """The label shows where the image was mirrored, how it was scaled and cropped."""
    rows, columns = np.mgrid[:40, :40].astype(np.uint8)
    label = np.where(columns < 20, rows, 100 + rows)  # left or right half, and the row
    augment = training_pipeline(crop=(20, 20), scale=(1.0, 2.0), jitter=0.0)
    image = np.zeros((40, 40, 3), np.uint8)
    mirrored, factors, tops = [], [], []
    for seed in range(300):
        result = augment(image, label, seed).label
        assert result is not None
        first, last = int(result[0, 0]) % 100, int(result[-1, 0]) % 100
        mirrored.append(bool((np.diff(result.astype(int)) < -50).any()))
        factors.append(19 / max(last - first, 1))
        tops.append(first / (40 - 20 / factors[-1]))
    seen = np.corrcoef([np.array(mirrored, float), factors, tops])
    assert abs(seen[np.triu_indices(3, 1)]).max() < 0.2
