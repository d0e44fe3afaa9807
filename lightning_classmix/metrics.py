"""mIoU, IoU per class and accuracy, from one confusion matrix over a whole set."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.aggregation import MeanMetric
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


class Scoreboard(nn.Module):
    """The scores of several networks, and the loss of one, over the same set.

    Args:
        num_classes: Number of classes, C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.networks = nn.ModuleDict()
        # Lightning's own mean is off where devices hold unlike numbers of images.
        self.loss = MeanMetric()

    def add(self, name: str) -> None:
        """Score one more network."""
        self.networks[name] = SegmentationScores(self.num_classes)

    def finish(self) -> tuple[dict[str, Scores], Tensor]:
        """Return the scores by network, and the mean loss, and begin anew."""
        loss = self.loss.compute()
        scores: dict[str, Scores] = {}
        with torch.inference_mode(False):  # the next run may be in another mode
            for name, metric in self.networks.items():
                scores[name] = metric.scores()  # type: ignore[operator]
                metric.reset()  # type: ignore[operator]
            self.loss.reset()
        return scores, loss
