"""Segmentation metrics: mean IoU, IoU per class and pixel accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from lightning_classmix.ops import VOID


class PixelAccuracy(MulticlassConfusionMatrix):
    """Share of the non-void pixels whose class is right; NaN if all pixels are void."""

    def compute(self) -> Tensor:
        """Return the accuracy, a scalar in [0, 1]."""
        matrix = super().compute().cpu().double()  # some devices lack float64
        return (matrix.diagonal().sum() / matrix.sum()).float()


def segmentation_metrics(num_classes: int) -> MetricCollection:
    """Return ``miou``, ``iou`` and ``accuracy`` over all pixels of a set.

    Pixels are pooled in one confusion matrix, which the three metrics share. Papers
    report this mIoU; a mean over images would weight a class by how its pixels are
    spread over images. Void pixels are ignored. A class without pixels in truth and
    prediction has IoU NaN and is left out of the mean.

    Args:
        num_classes: Number of classes, C.

    Returns:
        Metrics to update with predicted and true classes, int64 ``(B, H, W)``;
        ``iou`` has shape ``(C,)``, the others are scalars, all in [0, 1].

    Example:
        >>> metrics = segmentation_metrics(num_classes=3)
        >>> metrics.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]))
        >>> metrics.compute()["iou"]
        tensor([0.5000, 0.0000,    nan])

    Source:
        Everingham et al. 2010 (Pascal VOC), section 4.3.
    """
    options: dict[str, Any] = {"ignore_index": VOID, "validate_args": False}
    return MetricCollection(
        {
            "miou": MulticlassJaccardIndex(num_classes, average="macro", **options),
            "iou": MulticlassJaccardIndex(
                num_classes, average="none", zero_division=torch.nan, **options
            ),
            "accuracy": PixelAccuracy(num_classes, **options),
        }
    )


def named_metrics(
    scores: Mapping[str, Mapping[str, Tensor]],
    evaluate: str,
    class_names: Sequence[str],
) -> dict[str, Tensor]:
    """Return metrics by their names in the log, without the name of the stage.

    A scalar ``x`` of each network is ``x_<network>``. Of the network that predicts it
    is also ``x``, and a value per class is ``x/<class name>``.

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
        else:
            pairs = zip(class_names, value, strict=True)
            named |= {f"{name}/{class_name}": share for class_name, share in pairs}
    return named
