"""mIoU, IoU per class and accuracy, from one confusion matrix over a whole set."""

from typing import NamedTuple

from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from lightning_classmix.ops import VOID


class Scores(NamedTuple):
    """What a confusion matrix says; in [0, 1], NaN where there is nothing to say."""

    miou: Tensor
    """Mean of ``iou`` over the classes that occur in truth or prediction, scalar."""
    iou: Tensor
    """Intersection over union per class, ``(C,)``; NaN for one that never occurs."""
    accuracy: Tensor
    """Share of the pixels that are not void and are right, scalar."""


class SegmentationScores(MulticlassConfusionMatrix):
    """Pool the pixels of all images, then score; void pixels are left out.

    Pooling is what papers report. A mean over images or batches would weigh a rare
    class by where it happens to occur.

    Args:
        num_classes: Number of classes, C.

    Example:
        >>> import torch
        >>> scores = SegmentationScores(num_classes=3)
        >>> scores.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]))
        >>> scores.scores().iou
        tensor([0.5000, 0.0000,    nan])

    Source:
        Everingham et al. 2010 (Pascal VOC), section 4.3.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, ignore_index=VOID, validate_args=False)

    def scores(self) -> Scores:
        """Return the scores of all that was given to ``update``, on every device."""
        matrix = self.compute().cpu().double()  # (C, C), rows: truth; some lack float64
        right = matrix.diagonal()
        iou = right / (matrix.sum(0) + matrix.sum(1) - right)
        return Scores(
            miou=iou.nanmean().float(),
            iou=iou.float(),
            accuracy=(right.sum() / matrix.sum()).float(),
        )
