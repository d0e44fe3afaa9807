import pytest
import torch

from lightning_classmix.augment import StrongAugment

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def normalised(batch: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(batch, 3, 12, 16, generator=generator)
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]


def test_augmented_images_are_normalised_as_before() -> None:
    torch.manual_seed(0)
    augmented = StrongAugment(MEAN, STD)(normalised())
    pixels = augmented * torch.tensor(STD)[:, None, None]
    pixels += torch.tensor(MEAN)[:, None, None]
    assert pixels.min() > -1e-6
    assert pixels.max() < 1 + 1e-6
    assert pixels.min() < 0.2  # nothing was clamped in the normalised range
    assert pixels.std() > 0.1


def test_images_pass_unchanged_if_none_is_chosen() -> None:
    augment = StrongAugment(MEAN, STD, jitter_share=0.0, blur_share=0.0)
    torch.testing.assert_close(augment(normalised()), normalised())


def test_every_image_draws_for_itself() -> None:
    torch.manual_seed(0)
    image = normalised(1).repeat(32, 1, 1, 1)
    augment = StrongAugment(MEAN, STD, jitter_share=0.5, blur_share=0.0)
    changed = (augment(image) - image).abs().amax((1, 2, 3)) > 1e-4
    assert 8 <= changed.sum() <= 24
    differences = augment(image)[changed].flatten(1).std(0).max()
    assert differences > 0


def test_the_global_generator_decides() -> None:
    augment, image = StrongAugment(MEAN, STD), normalised()
    torch.manual_seed(3)
    first = augment(image)
    torch.manual_seed(3)
    assert torch.equal(augment(image), first)
    assert not torch.equal(augment(image), first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_comes_back(dtype: torch.dtype) -> None:
    augmented = StrongAugment(MEAN, STD)(normalised().to(dtype))
    assert augmented.dtype == dtype
    assert augmented.isfinite().all()


def test_images_of_other_channels_are_blurred_only() -> None:
    augment = StrongAugment((0.5,), (0.2,), blur_share=1.0)
    image = normalised()[:, :1]
    assert augment(image).shape == image.shape
    assert augment(image).std() < image.std()


def test_buffers_stay_out_of_checkpoints() -> None:
    assert StrongAugment(MEAN, STD).state_dict() == {}
