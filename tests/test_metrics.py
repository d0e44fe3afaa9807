import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.functional.classification import (
    multiclass_f1_score,
    multiclass_jaccard_index,
)

from lightning_classmix.metrics import (
    BoundaryIoU,
    Dice,
    PixelAccuracy,
    _near_boundary,
    grouped,
    named_metrics,
    segmentation_metrics,
)

REFERENCE = Path(__file__).parents[1].parent / "shared" / "conformance"


def updated(
    num_classes: int, predicted: Tensor, truth: Tensor, extra: Any = ()
) -> MetricCollection:
    metrics = segmentation_metrics(num_classes, extra)
    metrics.update(predicted, truth)
    return metrics


def test_metrics_of_a_case_checked_by_hand() -> None:
    truth = torch.tensor([[0, 1, 1, 255]])
    scores = updated(3, torch.tensor([[0, 0, 1, 1]]), truth).compute()
    expected = torch.tensor([0.5, 0.5, torch.nan])
    torch.testing.assert_close(scores["iou"], expected, equal_nan=True)
    assert scores["miou"] == 0.5
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_metrics_pool_the_pixels_of_all_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (6, 5, 7), generator=generator)
    predicted = torch.randint(0, 4, (6, 5, 7), generator=generator)
    truth[0, :2] = 255
    metrics = updated(4, predicted[:1], truth[:1])
    metrics.update(predicted[1:], truth[1:])
    expected = multiclass_jaccard_index(
        predicted, truth, num_classes=4, average=None, ignore_index=255
    )
    torch.testing.assert_close(metrics.compute()["iou"], expected)


def test_all_metrics_share_one_confusion_matrix() -> None:
    metrics = updated(2, torch.tensor([[0]]), torch.tensor([[1]]))
    assert len(metrics.compute_groups) == 1


def test_accuracy_counts_more_pixels_than_float32_can_hold() -> None:
    accuracy = PixelAccuracy(2, ignore_index=255)
    accuracy.update(torch.tensor([[0]]), torch.tensor([[1]]))
    accuracy.confmat += torch.tensor([[2**24, 0], [0, 2**24]])
    assert accuracy.confmat.sum() == 2**25 + 1
    assert accuracy.compute().double() == pytest.approx(2**25 / (2**25 + 1))


def test_classes_that_never_occur_are_left_out_of_the_mean() -> None:
    scores = updated(19, torch.tensor([[5, 11]]), torch.tensor([[5, 11]])).compute()
    assert scores["miou"] == 1.0
    assert scores["iou"].isnan().sum() == 17


def test_metrics_of_void_pixels_alone_are_nan() -> None:
    truth = torch.tensor([[255, 255]])
    scores = updated(2, torch.tensor([[0, 1]]), truth).compute()
    assert scores.pop("confusion").sum() == 0
    assert all(value.isnan().all() for value in scores.values())


def random_labels(seed: int, *, void: bool = False) -> Tensor:
    """Make label maps of blocks, so that boundaries and interiors exist."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 3, (2, 4, 5), generator=generator)
    label = blocks.repeat_interleave(9, 1).repeat_interleave(8, 2)  # (2, 36, 40)
    if void:
        label[:, 10:14] = 255
    return label


def test_dice_equals_the_f1_score_of_torchmetrics() -> None:
    truth, predicted = random_labels(0, void=True), random_labels(1)
    scores = updated(3, predicted, truth, ["dice"]).compute()
    expected = multiclass_f1_score(predicted, truth, 3, average=None, ignore_index=255)
    torch.testing.assert_close(scores["dice"], expected)
    torch.testing.assert_close(scores["mdice"], expected.mean())


def test_dice_leaves_absent_classes_out_of_the_mean() -> None:
    scores = updated(3, torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 1]]])).keys()
    assert "dice" not in scores
    dice = Dice(3, mean=True)
    dice.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 1]]]))
    assert dice.compute() == 1.0


def test_boundary_iou_of_two_shifted_halves_is_that_of_the_strips_at_their_edges() -> (
    None
):
    truth = torch.zeros(1, 30, 40, dtype=torch.int64)
    truth[..., 20:] = 1
    predicted = torch.zeros_like(truth)
    predicted[..., 21:] = 1  # d = round(0.02 · 50) = 1
    metric = BoundaryIoU(2, ignore_index=255, validate_args=False)
    metric.update(predicted, truth)
    # Class 0: frame pixels of columns 0-19 (76) and of 0-20 (78), 28 inner pixels of
    # the columns 19 and 20. Both hold the 76 of the first frame.
    left = 2 * 20 + 28
    shared = left  # rows 0 and 29 of columns 0-19, column 0
    union = left + 28 + 2 + 28  # column 19 of the truth, column 20 of the prediction
    assert metric.compute()[0] == pytest.approx(shared / union)


def slow_boundary_iou(
    predicted: Tensor, truth: Tensor, num_classes: int, distance: int
) -> Tensor:
    """Boundary IoU class by class, by erosion of padded masks."""

    def region(label: Tensor, index: int) -> Tensor:
        inside = (label == index) | (label == 255)
        padded = functional.pad(inside, [distance] * 4)  # outside: False
        window = padded.unfold(1, 2 * distance + 1, 1).unfold(2, 2 * distance + 1, 1)
        return (label == index) & ~window.flatten(3).all(3)

    values = []
    for index in range(num_classes):
        true, found = region(truth, index), region(predicted, index)
        found &= truth != 255
        values.append((true & found).sum() / (true | found).sum())
    return torch.stack(values)


def test_boundary_iou_equals_erosion_class_by_class() -> None:
    truth, predicted = random_labels(2, void=True), random_labels(3)
    scores = updated(3, predicted, truth, ["boundary_iou"]).compute()
    expected = slow_boundary_iou(predicted, truth, 3, distance=1)
    torch.testing.assert_close(scores["boundary_iou"], expected)
    torch.testing.assert_close(scores["mboundary_iou"], expected.mean())


def test_an_unknown_class_metric_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^class_metrics must be one of dice, boundary_iou, got 'f1'"
    ):
        segmentation_metrics(3, ["f1"])  # type: ignore[list-item]


def test_the_confusion_matrix_is_computed_but_not_logged() -> None:
    truth, predicted = random_labels(4, void=True), random_labels(5)
    scores = updated(3, predicted, truth).compute()
    assert scores["confusion"].sum() == (truth != 255).sum()
    assert scores["confusion"][0, 1] == ((truth == 0) & (predicted == 1)).sum()
    named = named_metrics({"student": scores}, "student", ["a", "b", "c"])
    assert not [name for name in named if "confusion" in name]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="conformance figures are missing")
def test_metrics_agree_with_the_authors() -> None:
    arrays = np.load(REFERENCE / "reference_ops.npz")
    figures = json.loads((REFERENCE / "reference_ops.json").read_text())
    truth = torch.from_numpy(arrays["mix.argmax_labels"]).long().flatten()
    truth[:7] = 255
    predicted = torch.from_numpy(arrays["in.student_logits"]).argmax(1).flatten()
    metrics = updated(5, predicted, truth)
    matrix: Any = metrics["iou"].confmat
    assert np.array_equal(matrix, arrays["metric.M"])
    scores = metrics.compute()
    assert scores["miou"] == pytest.approx(figures["metric.miou"], abs=1e-6)
    per_class = torch.tensor(figures["metric.per_class"])
    torch.testing.assert_close(scores["iou"], per_class, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "distance"), [((100, 120), 3), ((5, 7), 1)])
def test_the_boundary_is_2_percent_of_the_diagonal_wide(
    size: tuple[int, int], distance: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 3, (2, 2, 4, 5), generator=generator)
    truth, predicted = (
        functional.interpolate(each[:, None].float(), size)[:, 0].long()
        for each in blocks
    )
    truth[:, size[0] // 2] = 255
    metric = BoundaryIoU(3, ignore_index=255)
    metric.update(predicted, truth)
    torch.testing.assert_close(
        metric.compute(), slow_boundary_iou(predicted, truth, 3, distance)
    )


def test_metrics_have_a_value_for_each_class_unless_the_mean_is_asked_for() -> None:
    truth, predicted = random_labels(2, void=True), random_labels(3)
    for kind in (Dice, BoundaryIoU):
        values = {}
        for options in ({}, {"mean": False}, {"mean": True}):
            metric = kind(3, ignore_index=255, **options)
            metric.update(predicted, truth)
            values[options.get("mean")] = metric.compute()
        assert values[None].shape == values[False].shape == (3,)
        assert {value.dtype for value in values.values()} == {torch.float32}
        torch.testing.assert_close(values[True], values[None].mean())


def test_classes_without_a_boundary_are_left_out_of_the_mean() -> None:
    label = torch.zeros(1, 5, 5, dtype=torch.int64)
    metric = BoundaryIoU(3, mean=True)
    metric.update(label, label)
    assert metric.compute() == 1.0


def test_void_beside_a_class_makes_no_boundary() -> None:
    truth = torch.zeros(1, 40, 40, dtype=torch.int64)
    truth[:, 18:22, 18:22] = 255
    near = (_near_boundary(truth) & (truth != 255))[0]
    assert near[0].all()
    assert near[:, 0].all()
    assert near[-1].all()
    assert near[:, -1].all()
    assert not near[1:-1, 1:-1].any()


def test_metrics_do_not_search_labels_for_wrong_values() -> None:
    metrics = segmentation_metrics(3, ["dice", "boundary_iou"])
    assert metrics.keys() == {
        *("miou", "iou", "accuracy", "confusion"),
        *("dice", "mdice", "boundary_iou", "mboundary_iou"),
    }
    assert not any(metric.validate_args for metric in metrics.values())


def test_a_metric_that_is_added_later_sees_every_batch() -> None:
    metrics = segmentation_metrics(3)
    metrics["other"] = MulticlassConfusionMatrix(3, ignore_index=255)
    assert grouped(metrics) is metrics
    for _ in range(3):
        metrics.update(torch.tensor([[[0, 1]]]), torch.tensor([[[0, 255]]]))
    scores = metrics.compute()
    assert scores["other"].sum() == scores["confusion"].sum() == 3


def test_scores_are_named_by_network_and_by_class() -> None:
    scores = {
        name: {
            "miou": torch.tensor(value),
            "iou": torch.tensor([value, value + 1]),
            "dice": torch.tensor([value, value + 2]),
            "confusion": torch.zeros(2, 2),
        }
        for name, value in (("student", 0.0), ("teacher", 10.0))
    }
    named = named_metrics(scores, "teacher", ["sky", "road"])
    assert {name: float(value) for name, value in named.items()} == {
        "miou_student": 0,
        "miou_teacher": 10,
        "miou": 10,
        "iou/sky": 10,
        "iou/road": 11,
        "dice/sky": 10,
        "dice/road": 12,
    }
    with pytest.raises(ValueError, match="zip"):
        named_metrics(scores, "teacher", ["sky"])
