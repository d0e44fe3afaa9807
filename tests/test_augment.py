import pytest
import torch

from lightning_classmix import augment as augment_module
from lightning_classmix.augment import Olsson2021Augment, StrongAugment

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def normalized(batch: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(batch, 3, 12, 16, generator=generator)
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]


def test_augmented_images_are_normalized_again() -> None:
    torch.manual_seed(0)
    augmented = StrongAugment(MEAN, STD)(normalized())
    pixels = augmented * torch.tensor(STD)[:, None, None]
    pixels += torch.tensor(MEAN)[:, None, None]
    assert pixels.min() > -1e-6
    assert pixels.max() < 1 + 1e-6
    assert pixels.min() < 0.2  # nothing was clamped in the normalized range
    assert pixels.std() > 0.1


def test_images_are_unchanged_with_a_share_of_zero() -> None:
    augment = StrongAugment(MEAN, STD, jitter_share=0.0, blur_share=0.0)
    torch.testing.assert_close(augment(normalized()), normalized())


def test_each_image_is_augmented_independently() -> None:
    torch.manual_seed(0)
    image = normalized(1).repeat(32, 1, 1, 1)
    augment = StrongAugment(MEAN, STD, jitter_share=0.5, blur_share=0.0)
    changed = (augment(image) - image).abs().amax((1, 2, 3)) > 1e-4
    assert 8 <= changed.sum() <= 24
    differences = augment(image)[changed].flatten(1).std(0).max()
    assert differences > 0


def test_augmentation_follows_the_global_generator() -> None:
    augment, image = StrongAugment(MEAN, STD), normalized()
    torch.manual_seed(3)
    first = augment(image)
    torch.manual_seed(3)
    assert torch.equal(augment(image), first)
    assert not torch.equal(augment(image), first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_kept(dtype: torch.dtype) -> None:
    augmented = StrongAugment(MEAN, STD)(normalized().to(dtype))
    assert augmented.dtype == dtype
    assert augmented.isfinite().all()


def test_images_of_other_channel_counts_are_only_blurred() -> None:
    augment = StrongAugment((0.5,), (0.2,), blur_share=1.0)
    image = normalized()[:, :1]
    assert augment(image).shape == image.shape
    assert augment(image).std() < image.std()


def test_buffers_are_not_in_the_state_dict() -> None:
    assert StrongAugment(MEAN, STD).state_dict() == {}


def repeated(count: int = 8) -> torch.Tensor:
    """Give one image several times."""
    return normalized(1).repeat(count, 1, 1, 1)


def changes(image: torch.Tensor, augmented: torch.Tensor) -> torch.Tensor:
    """Return the largest change of each image."""
    return (augmented - image).abs().amax((1, 2, 3))


def test_all_images_of_a_batch_are_jittered_or_none_is() -> None:
    torch.manual_seed(0)
    image = repeated()
    augment = Olsson2021Augment(MEAN, STD, jitter_share=0.5, blur_share=0.0)
    jittered = 0
    for _ in range(40):
        augmented = augment(image)
        changed = changes(image, augmented) > 1e-4
        assert changed.all() or not changed.any()
        jittered += bool(changed.all())
        if changed.all():  # each by factors of its own
            apart = torch.cdist(augmented.flatten(1), augmented.flatten(1))
            assert (apart + torch.eye(len(image)) > 1e-2).all()
    assert 10 <= jittered <= 30


def test_all_images_of_a_batch_are_blurred_alike_or_none_is() -> None:
    torch.manual_seed(0)
    augment = Olsson2021Augment(MEAN, STD, jitter_share=0.0, blur_share=0.5)
    image = torch.rand(1, 3, 32, 40).repeat(4, 1, 1, 1) / 2
    widths = set()
    for _ in range(40):
        augmented = augment(image)
        assert (augmented == augmented[:1]).all()
        widths.add(round(float(augmented.std()), 4))
    whole = round(float(image.std()), 4)
    assert max(widths) == whole
    assert min(widths) < whole
    assert len(widths) > 5


@pytest.mark.parametrize(
    ("side", "kernel"), [(512, 51), (1024, 103), (321, 33), (16, 1), (1, 1), (30, 3)]
)
def test_the_blur_kernel_is_an_odd_tenth_of_the_side(
    side: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def note(pixels: torch.Tensor, size: object, sigma: object) -> torch.Tensor:
        given.append((size, sigma))
        return pixels

    monkeypatch.setattr(augment_module, "gaussian_blur2d", note)
    augment = Olsson2021Augment((0.5,), (0.2,), blur_share=1.0, sigma=(0.5, 0.5))
    augment(torch.zeros(1, 1, side, 512))
    assert given == [((kernel, 51), (0.5, 0.5))]


def test_the_standard_deviation_of_the_blur_is_drawn_between_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths: list[float] = []

    def note(
        pixels: torch.Tensor, size: object, sigma: tuple[float, float]
    ) -> torch.Tensor:
        assert sigma[0] == sigma[1]
        widths.append(sigma[0])
        return pixels

    monkeypatch.setattr(augment_module, "gaussian_blur2d", note)
    torch.manual_seed(0)
    augment = Olsson2021Augment((0.5,), (0.2,))
    for _ in range(400):
        augment(torch.zeros(1, 1, 4, 4))
    assert 160 < len(widths) < 240  # half of the batches
    assert 0.15 <= min(widths) < 0.17
    assert 1.13 < max(widths) <= 1.15


def test_four_fifths_of_the_batches_are_jittered() -> None:
    torch.manual_seed(0)
    image = normalized(2)[..., :4, :4]
    augment = Olsson2021Augment(MEAN, STD, blur_share=0.0)
    jittered = [changes(image, augment(image)).max() > 1e-4 for _ in range(250)]
    assert 0.72 < sum(jittered) / len(jittered) < 0.88


def test_brightness_is_added_so_that_black_becomes_gray() -> None:
    torch.manual_seed(0)
    black = torch.zeros(200, 3, 4, 4)
    augment = Olsson2021Augment(
        (0.0,) * 3, (1.0,) * 3, jitter_share=1.0, blur_share=0.0
    )
    lightest = augment(black).amax((1, 2, 3))
    assert 0.2 < lightest.max() <= 0.25 * 1.25 + 1e-6  # contrast may follow
    assert 0.3 < (lightest > 0.01).float().mean() < 0.65  # else it went below black
    strong = StrongAugment((0.0,) * 3, (1.0,) * 3, jitter_share=1.0, blur_share=0.0)
    assert strong(black).max() < 1e-3


def test_the_same_seed_gives_the_same_batch() -> None:
    augment, image = Olsson2021Augment(MEAN, STD), normalized()
    torch.manual_seed(3)
    first = [augment(image) for _ in range(4)]
    torch.manual_seed(3)
    assert all(torch.equal(augment(image), one) for one in first)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_a_batch_is_normalized_again_in_its_dtype(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    augment = Olsson2021Augment(MEAN, STD, jitter_share=1.0, blur_share=1.0)
    augmented = augment(normalized().to(dtype))
    assert augmented.dtype == dtype
    pixels = augmented.double() * torch.tensor(STD)[:, None, None]
    pixels += torch.tensor(MEAN)[:, None, None]
    assert -2e-2 < pixels.min() < 0.2
    assert 0.8 < pixels.max() < 1 + 2e-2
    still = Olsson2021Augment(MEAN, STD, jitter_share=0.0, blur_share=0.0)
    torch.testing.assert_close(still(normalized().to(dtype)), normalized().to(dtype))


def test_pixels_of_float64_are_computed_in_float64() -> None:
    image = normalized(2).double()
    augment = Olsson2021Augment(MEAN, STD, jitter_share=0.0, blur_share=1.0)
    torch.manual_seed(0)
    precise = augment(image.repeat(1, 1, 3, 3))
    torch.manual_seed(0)
    narrow = augment(image.float().repeat(1, 1, 3, 3)).double()
    assert 0 < (precise - narrow).abs().max() < 1e-5


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 60), (33, 40)])
def test_any_channel_count_and_the_smallest_sides_are_accepted(
    channels: int, size: tuple[int, int]
) -> None:
    augment = Olsson2021Augment((0.5,) * channels, (0.2,) * channels, blur_share=1.0)
    image = torch.randn(2, channels, *size).clamp(-2, 2)
    augmented = augment(image)
    assert augmented.shape == image.shape
    assert augmented.isfinite().all()
    assert torch.allclose(augmented, image, atol=1e-4) == (max(size) < 21)
