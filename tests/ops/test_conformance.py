"""The operations against recorded results of the authors' functions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_classmix import ops

FOLDER = Path(__file__).parents[2].parent / "shared" / "conformance"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "reference_ops.npz").is_file(),
    reason="the conformance files are missing",
)

WEIGHTINGS: list[tuple[str, ops.PixelWeighting, float]] = [
    ("threshold_uniform", "confident_share", 1.0),
    ("threshold", "confident_pixels", 1.0),
    ("sigmoid", "uniform", ops.sigmoid_ramp(2500, 10_000)),
    ("False", "uniform", 1.0),
]


@pytest.fixture(scope="module")
def array() -> dict[str, Tensor]:
    with np.load(FOLDER / "reference_ops.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.fixture(scope="module")
def scalar() -> dict[str, Any]:
    results: dict[str, Any] = json.loads((FOLDER / "reference_ops.json").read_text())
    return results


@pytest.fixture(scope="module")
def mask(array: dict[str, Tensor]) -> Tensor:
    return array["class_choice.MixMask"].bool()


@pytest.fixture(scope="module")
def confidence(array: dict[str, Tensor], mask: Tensor) -> Tensor:
    return ops.mix(ops.pseudo_label(array["in.teacher_logits"])[0], mask)


def assert_near(result: Tensor | float, expected: Tensor | float) -> None:
    torch.testing.assert_close(
        torch.as_tensor(result, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=1e-6,
        atol=1e-6,
    )


def mask_of_classes(label: Tensor, classes: list[int]) -> Tensor:
    """Return the mask of the first draw that holds these classes, bool ``(H, W)``."""
    masks = ops.classmix_mask(
        label.expand(512, -1, -1),
        num_classes=5,
        generator=torch.Generator().manual_seed(0),
    )
    drawn = [sorted(set(label[each].tolist())) for each in masks]
    return masks[drawn.index(classes)]


def test_pseudo_label_is_that_of_the_authors(array: dict[str, Tensor]) -> None:
    _, label = ops.pseudo_label(array["in.teacher_logits"])
    assert torch.equal(label, array["in.teacher_argmax"])


@pytest.mark.parametrize("image", [0, 1, 2])
def test_the_same_classes_give_the_mask_of_the_authors(
    image: int, array: dict[str, Tensor], scalar: dict[str, Any], mask: Tensor
) -> None:
    label = array["in.teacher_argmax"][image]
    choice = scalar["class_choice.classes"][image]
    assert sorted(set(label.flatten().tolist())) == choice["present"]
    assert torch.equal(mask_of_classes(label, choice["chosen"]), mask[image])


def test_classes_0_and_2_give_the_mask_of_the_authors(array: dict[str, Tensor]) -> None:
    expected = array["class_mask.all_of_0_2"].bool()
    result = mask_of_classes(array["in.teacher_argmax"][0], [0, 2])
    assert torch.equal(result, expected)


def test_no_class_gives_the_mask_of_the_authors(array: dict[str, Tensor]) -> None:
    label = array["in.teacher_argmax"][:1]
    result = ops.classmix_mask(label, num_classes=5, exclude=range(5))
    assert torch.equal(result[0], array["class_mask.empty_classes"].bool())


def test_a_single_class_gives_as_many_marked_pixels_as_the_authors(
    scalar: dict[str, Any],
) -> None:
    result = ops.classmix_mask(torch.full((1, 16, 24), 3), num_classes=5)
    assert int(result.sum()) == scalar["class_choice.one_class_mask_sum"]


def test_mix_of_images_is_that_of_the_authors(
    array: dict[str, Tensor], mask: Tensor
) -> None:
    assert_near(ops.mix(array["in.images"], mask), array["mix.images"])


def test_mix_of_probabilities_is_that_of_the_authors(
    array: dict[str, Tensor], mask: Tensor
) -> None:
    probability = array["in.teacher_logits"].softmax(1)
    assert_near(ops.mix(probability, mask), array["mix.softmax"])


def test_mix_of_labels_and_of_probabilities_both_give_the_labels_of_the_authors(
    array: dict[str, Tensor], scalar: dict[str, Any], mask: Tensor
) -> None:
    mixed = ops.mix(array["in.teacher_argmax"], mask)
    assert torch.equal(mixed, array["mix.argmax_labels"])
    agree = torch.equal(mixed, array["mix.pseudo_from_softmax"])
    assert agree is scalar["mix.soft_then_argmax_equals_label_mix"]


@pytest.mark.parametrize(("name", "kind", "factor"), WEIGHTINGS)
def test_pixel_weight_is_that_of_the_authors(
    name: str,
    kind: ops.PixelWeighting,
    factor: float,
    array: dict[str, Tensor],
    confidence: Tensor,
) -> None:
    weight = factor * ops.pixel_weight(confidence, kind)
    assert_near(weight, array[f"pixel_weight.{name}"])


@pytest.mark.parametrize(("name", "kind", "factor"), WEIGHTINGS)
def test_the_weighted_cross_entropy_is_that_of_the_authors(
    name: str,
    kind: ops.PixelWeighting,
    factor: float,
    array: dict[str, Tensor],
    scalar: dict[str, Any],
    confidence: Tensor,
) -> None:
    loss = ops.cross_entropy(
        array["in.student_logits"],
        array["mix.pseudo_from_softmax"],
        weight=factor * ops.pixel_weight(confidence, kind),
    )
    assert_near(loss, scalar[f"unsup_ce.{name}"])


def test_the_confident_share_is_that_of_the_authors(
    scalar: dict[str, Any], confidence: Tensor
) -> None:
    share = ops.confident_share(confidence, threshold=0.968)
    assert_near(share, scalar["frac_ge_0.968"])


def test_the_mean_squared_error_is_that_of_the_authors(
    array: dict[str, Tensor], scalar: dict[str, Any]
) -> None:
    loss = ops.mean_squared_error(array["in.student_logits"], array["mix.softmax"])
    assert_near(loss, scalar["mse"])


def test_both_consistency_losses_are_those_of_the_authors(
    array: dict[str, Tensor], scalar: dict[str, Any], mask: Tensor, confidence: Tensor
) -> None:
    weight = ops.pixel_weight(confidence, "confident_share")
    student, teacher = array["in.student_logits"], array["in.teacher_logits"]
    target = ops.mix(ops.pseudo_label(teacher)[1], mask)
    soft_target = ops.mix(teacher.softmax(1), mask)
    cross_entropy = ops.cross_entropy(student, target, weight=weight)
    squared_error = ops.mean_squared_error(student, soft_target, weight=weight)
    assert_near(cross_entropy, scalar["L_u.CE"])
    assert_near(squared_error, scalar["L_u.MSE"])


@pytest.mark.parametrize("ignore_index", [250, 255])
def test_the_supervised_loss_is_that_of_the_authors(
    ignore_index: int, array: dict[str, Tensor], scalar: dict[str, Any]
) -> None:
    label = array["mix.pseudo_from_softmax"].clone()
    label[:, :4] = 250
    label[0, 5, :3] = -1
    loss = ops.cross_entropy(
        array["in.student_logits"], label, ignore_index=ignore_index
    )
    assert_near(loss, scalar["sup_ce"])


def test_the_supervised_loss_of_void_only_is_zero_where_the_authors_have_nan(
    array: dict[str, Tensor], scalar: dict[str, Any]
) -> None:
    label = torch.full_like(array["in.teacher_argmax"], ops.VOID)
    assert scalar["sup_ce_all_ignored"] == "nan"
    assert float(ops.cross_entropy(array["in.student_logits"], label)) == 0


def test_ema_decay_is_that_of_the_authors(scalar: dict[str, Any]) -> None:
    for step, expected in scalar["ema_decay"].items():
        assert_near(ops.ema_decay(int(step), limit=0.99), expected)


def test_poly_is_that_of_the_authors(scalar: dict[str, Any]) -> None:
    for step, expected in scalar["lr_poly"].items():
        rate = 2.5e-4 * ops.poly(int(step), total=40_000, power=0.9)
        assert rate == pytest.approx(expected, rel=1e-6)


def test_sigmoid_ramp_is_that_of_the_authors(scalar: dict[str, Any]) -> None:
    for step, expected in scalar["sigmoid_ramp_up"].items():
        assert_near(ops.sigmoid_ramp(int(step), length=10_000), expected)
