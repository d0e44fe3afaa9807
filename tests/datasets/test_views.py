from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_classmix.datasets.transforms import Transform, training_pipeline
from lightning_classmix.datasets.views import (
    EvaluationView,
    PredictionView,
    TrainingView,
)

LABEL = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def training(source: Any, *, labeled: bool = True) -> TrainingView:
    return TrainingView(source, Transform(), labeled=labeled, seed=0)


@pytest.mark.parametrize(
    "item",
    [
        (Image.fromarray(PIXELS), Image.fromarray(LABEL)),
        (PIXELS, LABEL),
        [PIXELS, LABEL],
        (torch.from_numpy(PIXELS).permute(2, 0, 1), torch.from_numpy(LABEL)),
        {"image": PIXELS, "label": LABEL, "name": "first"},
        (PIXELS, LABEL.astype(np.int64), "more"),
    ],
)
def test_items_of_every_form_give_the_same_sample(item: Any) -> None:
    sample = training([item])[0]
    assert sample.keys() == {"image", "label"}
    torch.testing.assert_close(sample["image"], Transform()(PIXELS)["image"])
    assert sample["label"].dtype == torch.int64
    assert sample["label"].tolist() == LABEL.tolist()


@pytest.mark.parametrize(
    "item", [PIXELS, (PIXELS,), (PIXELS, "no label"), {"image": PIXELS}, (PIXELS, None)]
)
def test_of_an_unlabeled_item_only_the_image_is_kept(item: Any) -> None:
    sample = training([item], labeled=False)[0]
    assert sample.keys() == {"image", "valid"}
    assert sample["valid"].all()


def test_float_tensors_pass_untouched() -> None:
    image = torch.randn(5, 2, 3)
    sample = training([(image, LABEL)])[0]
    assert sample["image"] is image
    assert sample["label"].tolist() == LABEL.tolist()
    assert training([image], labeled=False)[0]["valid"].shape == (2, 3)


def test_gray_pil_images_become_rgb() -> None:
    gray = Image.fromarray(PIXELS[..., 0])
    assert training([(gray, LABEL)])[0]["image"].shape == (3, 2, 3)


def test_augmentation_depends_on_pass_and_index_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    label = np.zeros((16, 16), dtype=np.uint8)
    transform = Transform(training_pipeline(crop=(8, 8)))
    source = [(image, label)] * 3
    view = TrainingView(source, transform, labeled=True, seed=0)
    first = view[1, 5]["image"]
    assert torch.equal(view[1, 5]["image"], first)
    others = (view[1, 6], view[2, 5], view[0, 0])
    assert not any(torch.equal(other["image"], first) for other in others)
    other = TrainingView(source, transform, labeled=True, seed=1)
    assert not torch.equal(other[1, 5]["image"], first)
    assert torch.equal(view[1]["image"], view[1, 0]["image"])


def test_labels_keep_their_size_in_evaluation() -> None:
    import albumentations

    transform = Transform(albumentations.Resize(8, 8))
    sample = EvaluationView([(PIXELS, LABEL)], transform)[0]
    assert sample["image"].shape == (3, 8, 8)
    assert sample["label"].tolist() == LABEL.tolist()


def test_labels_follow_by_their_nearest_pixels_if_asked_to() -> None:
    # Between class 0 and void, or between 1 and 3, nothing may be made up.
    label = np.array([[0, 255, 3], [1, 3, 255]], dtype=np.uint8)
    view = EvaluationView([(PIXELS, label)], Transform(size=(4, 9)), resize_labels=True)
    sample = view[0]
    assert sample["image"].shape == (3, 4, 9)
    assert sample["label"].dtype == torch.int64
    assert sample["label"].tolist() == label.repeat(2, 0).repeat(3, 1).tolist()
    # And back: of each block of 2 x 3 pixels of one class, that class.
    large = Image.fromarray(label.repeat(2, 0).repeat(3, 1))
    pixels = np.zeros((4, 9, 3), np.uint8)
    view = EvaluationView([(pixels, large)], Transform(size=(2, 3)), resize_labels=True)
    assert view[0]["label"].tolist() == label.tolist()


def test_labels_that_are_to_follow_a_tensor_must_have_its_size() -> None:
    image = torch.zeros(3, 4, 6)
    source = [(image, LABEL)]
    assert EvaluationView(source, Transform())[0]["label"].shape == (2, 3)
    with pytest.raises(ValueError, match=r"size of its image, \(4, 6\), got \(2, 3\)"):
        EvaluationView(source, Transform(), resize_labels=True)[0]


def test_predictions_know_their_name_and_size() -> None:
    view = PredictionView([PIXELS, {"image": PIXELS, "name": "street"}], Transform())
    assert [view[i]["name"] for i in (0, 1)] == ["000000", "street"]
    assert view[0]["size"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ((PIXELS, LABEL[:1]), ValueError, r"size of its image, \(2, 3\), got \(1, 3\)"),
        ((PIXELS, PIXELS), ValueError, r"got \(2, 3, 3\) in item 0"),
        ((PIXELS, LABEL - 300.0), ValueError, r"in \[0, 255\], got float64 in item 0"),
        ((PIXELS, LABEL.astype(int) - 1), ValueError, r"got int64 in \[-1, 254\]"),
        (
            (PIXELS, None),
            ValueError,
            r"must be \(image, label\) .* got \(uint8 \(2, 3, 3\), None\)",
        ),
        ((PIXELS.astype(float), LABEL), TypeError, "got ndarray float64 in item 0"),
        (("a.png", LABEL), TypeError, "got str in item 0"),
        ((PIXELS[0], LABEL), ValueError, r"3 dimensions, got \(3, 3\) in item 0"),
    ],
)
def test_a_bad_item_is_named(item: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        training([item])[0]
