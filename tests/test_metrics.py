import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index

from lightning_classmix.metrics import SegmentationScores

REFERENCE = Path(__file__).parents[1].parent / "shared" / "conformance"


def test_scores_of_a_case_to_check_by_hand() -> None:
    scores = SegmentationScores(num_classes=3)
    scores.update(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]]))
    found = scores.scores()
    torch.testing.assert_close(
        found.iou, torch.tensor([0.5, 0.5, torch.nan]), equal_nan=True
    )
    assert found.miou == 0.5
    assert found.accuracy == pytest.approx(2 / 3)


def test_scores_pool_the_pixels_of_all_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (6, 5, 7), generator=generator)
    predicted = torch.randint(0, 4, (6, 5, 7), generator=generator)
    truth[0, :2] = 255
    scores = SegmentationScores(num_classes=4)
    for part in (slice(0, 1), slice(1, 6)):
        scores.update(predicted[part], truth[part])
    expected = multiclass_jaccard_index(
        predicted, truth, num_classes=4, average=None, ignore_index=255
    )
    torch.testing.assert_close(scores.scores().iou, expected)


def test_scores_count_more_pixels_than_float32_can() -> None:
    scores = SegmentationScores(num_classes=2)
    scores.update(torch.tensor([[0]]), torch.tensor([[1]]))
    scores.confmat += torch.tensor([[2**24, 0], [0, 2**24]])
    assert scores.confmat.sum() == 2**25 + 1
    assert scores.scores().accuracy.double() == pytest.approx(2**25 / (2**25 + 1))


def test_classes_that_never_occur_are_left_out_of_the_mean() -> None:
    scores = SegmentationScores(num_classes=19)
    scores.update(torch.tensor([[5, 11]]), torch.tensor([[5, 11]]))
    assert scores.scores().miou == 1.0
    assert scores.scores().iou.isnan().sum() == 17


def test_scores_of_void_alone_are_nan() -> None:
    scores = SegmentationScores(num_classes=2)
    scores.update(torch.tensor([[0, 1]]), torch.tensor([[255, 255]]))
    assert scores.scores().miou.isnan()


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="conformance figures are missing")
def test_scores_agree_with_the_authors() -> None:
    arrays = np.load(REFERENCE / "reference_ops.npz")
    figures = json.loads((REFERENCE / "reference_ops.json").read_text())
    truth = torch.from_numpy(arrays["mix.argmax_labels"]).long().flatten()
    truth[:7] = 255
    predicted = torch.from_numpy(arrays["in.student_logits"]).argmax(1).flatten()
    scores = SegmentationScores(num_classes=5)
    scores.update(predicted, truth)
    assert np.array_equal(scores.confmat, arrays["metric.M"])
    assert scores.scores().miou == pytest.approx(figures["metric.miou"], abs=1e-6)
    per_class = torch.tensor(figures["metric.per_class"])
    torch.testing.assert_close(scores.scores().iou, per_class, atol=1e-6, rtol=0)
