"""Validation and test of one or more segmentation networks."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.aggregation import MeanMetric

from lightning_classmix import batches, ops
from lightning_classmix.metrics import (
    ClassMetric,
    grouped,
    named_metrics,
    segmentation_metrics,
)
from lightning_classmix.modules.segmentation import SegmentationModule, resize_logits


class EvaluationModule(SegmentationModule):
    """Base class: validate and test one or more segmentation networks.

    A subclass names its networks in ``networks`` and sets an attribute for each.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        class_metrics: Further metrics per class in validation and test: ``dice`` (the
            F1 score) and ``boundary_iou``.
        segmentation: Further arguments of `SegmentationModule`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    networks: ClassVar[Sequence[str]] = ("student",)
    """Attribute names of the networks that are validated and tested."""

    def __init__(
        self,
        num_classes: int,
        *,
        class_metrics: Sequence[ClassMetric] = (),
        **segmentation: Any,
    ) -> None:
        super().__init__(num_classes, **segmentation)
        self.class_metrics = list(class_metrics)
        segmentation_metrics(num_classes, self.class_metrics)  # checks the names
        self.scores: dict[str, dict[str, Tensor]] = {}
        """Metrics of the last validation or test, by network and by metric."""
        self.scored_step = 0
        """Optimizer step of the last validation or test."""
        self._weights_step = 0

    def configure_metrics(self) -> MetricCollection:
        """Return the metrics of one network; override this to add your own.

        Each is updated with predicted and true classes, int64 ``(B, H, W)``, void 255.
        A scalar ``x`` is logged as ``val_x`` and ``val_x_<network>``, a value per class
        as ``val_x/<class name>``; a test logs the same as ``test_…``. Matrices are not
        logged.
        """
        return segmentation_metrics(self.num_classes, self.class_metrics)

    def setup(self, stage: str) -> None:
        """Create the metrics of this run."""
        super().setup(stage)
        self.metrics = nn.ModuleDict(
            {
                f"{part}_{network}": grouped(self.configure_metrics())
                for part in ("val", "test")
                for network in self.networks
            }
        )
        # Lightning's own mean is wrong if devices hold different numbers of images.
        self.mean_loss = MeanMetric()

    def on_train_end(self) -> None:
        """Note the step of the weights, for later evaluations."""
        self._weights_step = self.global_step

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the step of the checkpoint, for later evaluations."""
        super().on_load_checkpoint(checkpoint)
        self._weights_step = checkpoint.get("global_step", 0)

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Update the metrics; return the predicted classes ``(B, H, W)`` by network."""
        batch = batches.standard_batch(batch)
        self.check_part(batch, "validation")
        return self._update_metrics("val", batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Update the metrics; return the predicted classes ``(B, H, W)`` by network."""
        batch = batches.standard_batch(batch)
        self.check_part(batch, "test")
        return self._update_metrics("test", batch, batch_idx)

    def _update_metrics(
        self, stage: str, batch: dict[str, Tensor], batch_idx: int
    ) -> dict[str, Tensor]:
        predicted = {}
        image, label = batch["image"], batch["label"]
        batches.check_label(label, self.num_classes, f"{stage} batch {batch_idx}")
        for network in self.networks:
            logits = resize_logits(self.predict_logits(image, network), label.shape[1:])
            metrics: Any = self.metrics[f"{stage}_{network}"]
            predicted[network] = logits.argmax(1)
            metrics.update(predicted[network], label)
            if network == self.evaluate:
                self.mean_loss.update(ops.cross_entropy(logits, label), len(image))
        return predicted

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole validation set."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole test set."""
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        scores: dict[str, dict[str, Tensor]] = {}
        for network in self.networks:
            metrics: Any = self.metrics[f"{stage}_{network}"]
            scores[network] = metrics.compute()
            metrics.reset()
        logged = {f"{stage}_loss": self.mean_loss.compute()}
        self.mean_loss.reset()
        if self.trainer.sanity_checking:
            return
        self.scores = scores
        fitting = self.trainer.state.fn == "fit"
        self.scored_step = self.global_step if fitting else self._weights_step
        named = named_metrics(scores, self.evaluate, self.class_names)
        logged |= {f"{stage}_{name}": value for name, value in named.items()}
        # The values are the same on every device already.
        miou = logged.pop(f"{stage}_miou", None)
        if miou is not None:
            self.log(f"{stage}_miou", miou, prog_bar=True, sync_dist=True)
        self.log_dict(logged, sync_dist=True)
