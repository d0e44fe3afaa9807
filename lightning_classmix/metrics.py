"""Segmentation metrics: IoU, Dice, boundary IoU, accuracy, confusion matrix."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from lightning_classmix.ops import VOID
from lightning_classmix.ops.ranges import check_choice

ClassMetric = Literal["dice", "boundary_iou"]


class PixelAccuracy(MulticlassConfusionMatrix):
    """Share of the non-void pixels whose class is right; NaN if all pixels are void."""

    def compute(self) -> Tensor:
        """Return the accuracy, a scalar in [0, 1]."""
        matrix = super().compute().cpu().double()  # some devices lack float64
        return (matrix.diagonal().sum() / matrix.sum()).float()


class Dice(MulticlassConfusionMatrix):
    """Dice coefficient (F1 score) per class: ``2 · TP / (2 · TP + FP + FN)``.

    A class without pixels in truth and prediction has NaN, and is left out of the mean.

    Args:
        num_classes: Number of classes, C.
        mean: Compute the mean over the classes.
        options: Further arguments of ``MulticlassConfusionMatrix``.
    """

    def __init__(self, num_classes: int, *, mean: bool = False, **options: Any) -> None:
        super().__init__(num_classes, **options)
        self.mean = mean

    def compute(self) -> Tensor:
        """Return the value of each class, ``(C,)``, or their mean, all in [0, 1]."""
        matrix = super().compute().cpu().double()  # some devices lack float64
        dice = 2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1))
        return (dice.nanmean() if self.mean else dice).float()


class BoundaryIoU(MulticlassConfusionMatrix):
    """IoU per class of the pixels that lie near the boundary of their class.

    These are the pixels at most d pixels from another class or from the edge of the
    image, where d is 2 % of the image's diagonal. Void has no boundary. Pixels are
    pooled over all images. A class without such pixels in truth and prediction has NaN,
    and is left out of the mean.

    Args:
        num_classes: Number of classes, C.
        mean: Compute the mean over the classes.
        options: Further arguments of ``MulticlassConfusionMatrix``.

    Source:
        Cheng et al. 2021 (arXiv 2103.16562), equation 2 and section 4.
    """

    def __init__(self, num_classes: int, *, mean: bool = False, **options: Any) -> None:
        super().__init__(num_classes + 1, **options)  # the last: far from a boundary
        self.mean = mean

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predicted and true classes, int64 ``(B, H, W)``."""
        far = self.num_classes - 1
        predicted = preds.where(_near_boundary(preds), far)
        true = target.where(_near_boundary(target) | (target == VOID), far)
        super().update(predicted, true)

    def compute(self) -> Tensor:
        """Return the value of each class, ``(C,)``, or their mean, all in [0, 1]."""
        matrix = super().compute().cpu().double()  # some devices lack float64
        shared = matrix.diagonal()
        iou = (shared / (matrix.sum(0) + matrix.sum(1) - shared))[:-1]
        return (iou.nanmean() if self.mean else iou).float()


def _near_boundary(label: Tensor) -> Tensor:
    """Mark the pixels near another class or near the edge of the image.

    Args:
        label: Class per pixel or 255, int64 ``(B, H, W)``.

    Returns:
        Bool ``(B, H, W)``.
    """
    distance = max(1, round(0.02 * math.hypot(*label.shape[1:])))
    values = label.float()[:, None]
    void = values == VOID
    largest = values.masked_fill(void, -math.inf)
    smallest = values.masked_fill(void, math.inf)
    side = 2 * distance + 1
    for window, padding in (
        ((side, 1), (distance, 0)),  # a square, one axis after the other
        ((1, side), (0, distance)),
    ):
        largest = functional.max_pool2d(largest, window, 1, padding)
        smallest = -functional.max_pool2d(-smallest, window, 1, padding)
    near = (largest != smallest)[:, 0]
    for lines in (near, near.transpose(1, 2)):
        lines[:, :distance] = True
        lines[:, -distance:] = True
    return near


def segmentation_metrics(
    num_classes: int, extra: Sequence[ClassMetric] = ()
) -> MetricCollection:
    """Return ``miou``, ``iou``, ``accuracy`` and ``confusion`` over the pixels seen.

    Pixels are pooled in one confusion matrix, which the metrics share. Papers report
    this mIoU; a mean over images would depend on which images show a class. Void pixels
    are ignored. A class without pixels in truth and prediction has IoU NaN and is left
    out of the mean.

    Args:
        num_classes: Number of classes, C.
        extra: Further metrics per class: ``dice`` and ``boundary_iou``, each also as
            the mean over the classes (``mdice``, ``mboundary_iou``).

    Returns:
        Metrics to update with predicted and true classes, int64 ``(B, H, W)``.
        ``miou`` and ``accuracy`` are scalars, ``iou`` has shape ``(C,)``, all in
        [0, 1]; ``confusion`` holds pixel counts, int64 ``(C, C)``, true class by
        predicted class.

    Raises:
        ValueError: If ``extra`` holds an unknown name.

    Example:
        >>> metrics = segmentation_metrics(num_classes=3)
        >>> metrics.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]))
        >>> metrics.compute()["iou"]
        tensor([0.5000, 0.0000,    nan])

    Source:
        Everingham et al. 2010 (Pascal VOC), section 4.3.
    """
    options: dict[str, Any] = {"ignore_index": VOID, "validate_args": False}
    metrics: dict[str, Any] = {
        "miou": MulticlassJaccardIndex(num_classes, average="macro", **options),
        "iou": MulticlassJaccardIndex(
            num_classes, average="none", zero_division=torch.nan, **options
        ),
        "accuracy": PixelAccuracy(num_classes, **options),
        "confusion": MulticlassConfusionMatrix(num_classes, **options),
    }
    for name in extra:
        check_choice("class_metrics", name, get_args(ClassMetric))
        kind = Dice if name == "dice" else BoundaryIoU
        metrics[name] = kind(num_classes, **options)
        metrics[f"m{name}"] = kind(num_classes, mean=True, **options)
    return MetricCollection(metrics)


def grouped(metrics: MetricCollection) -> MetricCollection:
    """Assign every metric of a collection to a group, and return the collection.

    torchmetrics updates no metric outside of a group after the first batch, and leaves
    a metric that was added as ``metrics["x"] = …`` outside.
    """
    metrics.add_metrics({})  # assigns all groups again
    return metrics


def named_metrics(
    scores: Mapping[str, Mapping[str, Tensor]],
    evaluate: str,
    class_names: Sequence[str],
) -> dict[str, Tensor]:
    """Return metrics by their names in the log, without the name of the stage.

    A scalar ``x`` of each network is ``x_<network>``. Of the network that predicts it
    is also ``x``, and a value per class is ``x/<class name>``. Matrices are left out.

    Args:
        scores: Metrics by network and by metric.
        evaluate: Name of the network that predicts.
        class_names: Names of the classes, C.

    Example:
        >>> scores = {"student": {"miou": torch.tensor(0.5)}}
        >>> list(named_metrics(scores, "student", ["sky", "road"]))
        ['miou_student', 'miou']
    """
    named = {
        f"{name}_{network}": value
        for network, values in scores.items()
        for name, value in values.items()
        if value.ndim == 0
    }
    for name, value in scores[evaluate].items():
        if value.ndim == 0:
            named[name] = value
        elif value.ndim == 1:
            pairs = zip(class_names, value, strict=True)
            named |= {f"{name}/{class_name}": share for class_name, share in pairs}
    return named
