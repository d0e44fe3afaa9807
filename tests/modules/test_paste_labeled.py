"""The argument ``paste_labeled`` of `ClassMix`."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_classmix import ClassMix, ops
from lightning_classmix.modules.mixed import Mixed, PseudoLabel, mix_images
from tests import tiny


def first_class(label: Tensor) -> Tensor:
    """Mark the pixels of class 0."""
    return label == 0


def half_weight(confidence: Tensor, *, valid: Tensor) -> Tensor:
    """Weigh every pixel that counts by 0.5."""
    return 0.5 * valid


def mixed(labeled: dict[str, Tensor], count: int, batch: int = 2) -> Mixed:
    """Mix images of value 0, 1, …, which the teacher takes for class 1."""
    image = torch.arange(batch).float().view(-1, 1, 1, 1).expand(batch, 3, 2, 2)
    label = torch.ones(batch, 2, 2, dtype=torch.int64)
    pseudo = PseudoLabel(
        torch.zeros(batch, 2, 2, 2), torch.full((batch, 2, 2), 0.6), label
    )
    return mix_images(image, pseudo, labeled, count, first_class, half_weight)


LABELED = {
    "image": torch.full((1, 3, 2, 2), 9.0),
    "label": torch.tensor([[[0, 1], [255, 0]]]),
}


def test_the_marked_classes_of_a_labeled_image_replace_pixels_and_labels() -> None:
    result = mixed(LABELED, count=1)
    assert result.image[0, 0].tolist() == [[9, 0], [0, 9]]
    assert result.target[0].tolist() == [[0, 1], [1, 0]]
    assert result.mask[0].tolist() == [[False, True], [True, False]]
    torch.testing.assert_close(result.confidence[0], torch.tensor([[1, 0.6], [0.6, 1]]))


def test_true_labels_have_weight_1_and_pseudo_labels_that_of_the_weighting() -> None:
    assert mixed(LABELED, count=1).weight[0].tolist() == [[1, 0.5], [0.5, 1]]


def test_the_other_images_of_the_batch_are_mixed_with_each_other() -> None:
    plain, result = mixed({}, count=0, batch=3), mixed(LABELED, count=1, batch=3)
    for new, old in zip(result, plain, strict=True):
        assert torch.equal(new[1:], old[1:])
        assert not torch.equal(new[0], old[0])


def test_labeled_images_are_used_again_if_they_are_fewer_than_the_mixes() -> None:
    result = mixed(LABELED, count=3, batch=3)
    assert (result.image[:, :, 0, 0] == 9).all()
    assert (result.image[:, :, 0, 1] != 9).all()


def test_no_image_is_mixed_with_a_labeled_one_by_default() -> None:
    plain, result = mixed({}, count=0), mixed(LABELED, count=0)
    assert all(torch.equal(new, old) for new, old in zip(result, plain, strict=True))
    assert ClassMix(3, network=torch.nn.Conv2d(3, 3, 1)).hparams["paste_labeled"] == 0


def test_labeled_images_of_another_size_are_refused() -> None:
    labeled = {"image": torch.zeros(1, 3, 2, 4), "label": torch.zeros(1, 2, 4).long()}
    message = r"one size for paste_labeled, got \(2, 4\) and \(2, 2\)"
    with pytest.raises(ValueError, match=message):
        mixed(labeled, count=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paste_labeled": 1.5}, r"paste_labeled must be in \[0, 1\], got 1.5"),
        ({"paste_labeled": -0.1}, r"paste_labeled must be in \[0, 1\], got -0.1"),
        (
            {"paste_labeled": 0.5, "consistency": "mean_squared_error"},
            "paste_labeled must be 0 with consistency mean_squared_error, got 0.5",
        ),
    ],
)
def test_arguments_that_cannot_be_met_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClassMix(3, network=torch.nn.Conv2d(3, 3, 1), **arguments)


@pytest.mark.parametrize(("share", "pasted"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_the_share_of_a_batch_holds_pixels_of_labeled_images(
    share: float, pasted: int
) -> None:
    model = ClassMix(
        tiny.CLASSES,
        network=torch.nn.Conv2d(3, tiny.CLASSES, 1),
        paste_labeled=share,
        labeled_only_steps=0,
        ramp_steps=0,
        augment="none",
    )
    batch = tiny.batch()
    batch["labeled"]["image"] = torch.full_like(batch["labeled"]["image"], 9.0)
    batch["labeled"]["label"] = torch.zeros_like(batch["labeled"]["label"])
    batch["labeled"]["label"][:, 0] = 1
    result = model.training_step(batch, 0)
    found = (result["mixed"] == 9).flatten(1).any(1)
    assert found.sum() == pasted
    assert ((result["mixed"] == 9).all(1) <= (result["target"] < 2)).all()
    assert not (result["target"] == ops.VOID).any()
