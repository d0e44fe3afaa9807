import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_jaccard_index

from lightning_classmix.metrics import PixelAccuracy, segmentation_metrics

REFERENCE = Path(__file__).parents[1].parent / "shared" / "conformance"


def updated(num_classes: int, predicted: Tensor, truth: Tensor) -> MetricCollection:
    metrics = segmentation_metrics(num_classes)
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
    assert all(value.isnan().all() for value in scores.values())


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
