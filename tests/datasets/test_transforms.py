import json
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lightning_classmix.datasets.transforms import (
    Transform,
    load_pipeline,
    plain_pipeline,
    training_pipeline,
)


def scene(
    size: tuple[int, int] = (20, 30),
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make an image whose red channel is ten times its label, plus ten."""
    label = np.random.default_rng(0).integers(0, 5, size).astype(np.uint8)
    image = np.stack([label * 10 + 10] * 3, axis=-1)
    return image, label


def plain(pipeline: A.Compose | None) -> Transform:
    return Transform(pipeline, mean=(0.0,) * 3, std=(1.0,) * 3)


def test_normalization_follows_the_pipeline() -> None:
    image, _ = scene()
    sample = Transform(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))(image)
    expected = (image / 255 - (0.5, 0.4, 0.3)) / (0.1, 0.2, 0.3)
    assert sample["image"].dtype == torch.float32
    torch.testing.assert_close(
        sample["image"].double(),
        torch.from_numpy(expected).permute(2, 0, 1),
        atol=1e-5,
        rtol=1e-5,
    )
    assert sample["valid"].all()


@pytest.mark.parametrize("seed", range(5))
def test_image_and_label_move_together(seed: int) -> None:
    image, label = scene((16, 16))
    pipeline = A.Compose([A.RandomCrop(9, 11), A.HorizontalFlip(p=0.5)])
    sample = plain(pipeline)(image, label, seed=seed)
    red = (sample["image"][0] * 255 - 10) / 10
    assert torch.equal(red.round().long(), sample["label"])


def test_same_seed_same_sample_whatever_came_before() -> None:
    image, label = scene()
    transform = plain(training_pipeline(crop=(16, 16), jitter=0.25))
    first = transform(image, label, seed=1)
    other = transform(image, label, seed=2)
    again = transform(image, label, seed=1)
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], other["image"])


@pytest.mark.parametrize("fill_mask", [0, 255])
def test_padding_is_void_and_not_valid_whatever_the_pipeline_fills_in(
    fill_mask: int,
) -> None:
    image, label = scene((4, 6))
    pad = A.PadIfNeeded(8, 8, position="top_left", fill=0, fill_mask=fill_mask)
    sample = plain(A.Compose([pad]))(image, label)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:4, :6] = True
    assert torch.equal(sample["valid"], expected)
    assert torch.equal(sample["label"] == 255, ~expected)


def test_a_crop_larger_than_the_image_is_padded_by_the_mean() -> None:
    image, label = scene((8, 8))
    mean = (0.2, 0.4, 0.6)
    pipeline = training_pipeline(crop=(32, 32), scale=(0.5, 1.0), mean=mean)
    sample = Transform(pipeline, mean=mean, std=(1.0,) * 3)(image, label, seed=3)
    assert sample["image"].shape == (3, 32, 32)
    assert 16 <= sample["valid"].sum() <= 64
    padded = sample["image"].masked_select(~sample["valid"])
    torch.testing.assert_close(padded, torch.zeros_like(padded), atol=2e-3, rtol=0)
    assert torch.equal(sample["label"] == 255, ~sample["valid"])


def test_scale_draws_between_its_bounds() -> None:
    image, _ = scene((16, 16))
    transform = plain(training_pipeline(crop=(64, 64), scale=(0.5, 2.0), flip=False))
    areas = [int(transform(image, seed=seed)["valid"].sum()) for seed in range(60)]
    assert min(areas) in range(8 * 8, 11 * 11)
    assert max(areas) in range(28 * 28, 32 * 32 + 1)


def test_flip_can_be_disabled() -> None:
    image, _ = scene()
    kept = plain(training_pipeline(flip=False))
    flipped = plain(training_pipeline(flip=True))
    still = kept(image)["image"]
    assert all(torch.equal(kept(image, seed=s)["image"], still) for s in range(8))
    turned = [torch.equal(flipped(image, seed=s)["image"], still) for s in range(32)]
    assert 6 < sum(turned) < 26


def test_jitter_changes_colors_and_nothing_else() -> None:
    image, label = scene()
    transform = plain(training_pipeline(flip=False, jitter=0.25))
    samples = [transform(image, label, seed=seed) for seed in range(20)]
    assert all(torch.equal(s["label"], samples[0]["label"]) for s in samples)
    changed = [
        not torch.equal(s["image"], plain(None)(image)["image"]) for s in samples
    ]
    assert 10 < sum(changed) < 20


def test_ids_that_are_not_contiguous_pass_unchanged() -> None:
    image, label = scene()
    ids = np.array([0, 5, 11, 254, 255], dtype=np.uint8)[label]
    assert torch.equal(plain(None)(image, ids)["label"], torch.from_numpy(ids).long())


def test_images_are_resized_and_labels_with_them_by_their_nearest_value() -> None:
    gray = np.kron([[0, 200], [100, 255]], np.ones((4, 4))).astype(np.uint8)
    image = np.stack([gray] * 3, axis=-1)
    label = np.kron([[0, 7], [3, 255]], np.ones((4, 4))).astype(np.uint8)
    transform = Transform(size=(3, 5), mean=(0.0,) * 3, std=(1.0,) * 3)
    sample = transform(image, label)
    assert sample["image"].shape == (3, 3, 5)
    assert sample["label"].shape == sample["valid"].shape == (3, 5)
    assert set(sample["label"].flatten().tolist()) == {0, 3, 7, 255}
    assert sample["valid"].all()
    corner = sample["image"][0, [0, 0, -1, -1], [0, -1, 0, -1]] * 255
    torch.testing.assert_close(corner, torch.tensor([0.0, 200.0, 100.0, 255.0]))


def test_a_pipeline_that_normalizes_is_refused_with_the_remedy() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for step in (A.Normalize(), A.ToTensorV2(), A.Compose([A.ToFloat()])):
        with pytest.raises(ValueError, match="leave out Normalize and ToTensorV2"):
            Transform(step)(image)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_saved_pipeline_is_read(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"pipeline.{suffix}")
    A.save(A.Compose([A.VerticalFlip(p=1.0)]), path, data_format=suffix)
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    flipped = Transform(load_pipeline(path))(image)["image"]
    assert flipped.equal(Transform()(image)["image"].flip(1))


def test_a_file_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"transform must be a file, got none"):
        load_pipeline("none.yaml")
    (tmp_path / "other.yaml").write_text("lr: 3")
    with pytest.raises(ValueError, match=r"file of albumentations\.save, .*other"):
        load_pipeline(str(tmp_path / "other.yaml"))


def test_padding_may_count_as_valid_and_stays_void_in_labels() -> None:
    image, label = scene((4, 6))
    pad = A.PadIfNeeded(8, 8, position="top_left", fill=0, fill_mask=0)
    marked, unmarked = (
        Transform(pad, mark_padding=mark)(image, label) for mark in (True, False)
    )
    assert unmarked["valid"].dtype == torch.bool
    assert unmarked["valid"].all()
    assert int(marked["valid"].sum()) == 24
    assert torch.equal(unmarked["label"], marked["label"])
    assert torch.equal(unmarked["label"] == 255, ~marked["valid"])
    assert torch.equal(unmarked["image"], marked["image"])


def test_a_pipeline_as_plain_values_is_the_same_pipeline() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    pipeline = A.Compose([A.RandomCrop(9, 7), A.PadIfNeeded(12, 12, fill=3)])
    values = plain_pipeline(pipeline)
    assert values is not None
    first = Transform(pipeline)(image, seed=4)
    again = Transform(load_pipeline(json.loads(json.dumps(values))))(image, seed=4)
    assert torch.equal(first["image"], again["image"])
    with pytest.raises(ValueError, match=r"must be a dict of albumentations\.to_dict"):
        load_pipeline({"crop": 3})


class Darker(A.ImageOnlyTransform):  # type: ignore[misc]
    def apply(self, img: NDArray[np.uint8], **_: object) -> NDArray[np.uint8]:
        return img // 2


def test_a_pipeline_with_other_steps_has_no_plain_values() -> None:
    assert plain_pipeline(A.Compose([Darker(p=1.0)])) is None
