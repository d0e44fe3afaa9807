"""Score the pseudo-labels against hidden labels, to find out what a method does."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_classmix.metrics import segmentation_metrics


class PseudoLabelQuality(Callback):
    """Compare the teacher's pseudo-labels with the true labels of unlabeled images.

    For diagnosis only: the true labels are never part of the training, but a choice
    that is made by these numbers uses labels that a real dataset does not have. The
    images are labeled as in ``training_step``, in the module's ``teacher_mode``.

    Logs ``pseudo_label/miou``, and ``pseudo_label/recall/<class>`` for every class.

    Args:
        dataloader: Batches ``{"image", "label"}`` of unlabeled training images and
            their true labels, as for a validation.
        every_n_steps: Optimizer steps between two readings. The first is taken when
            mixing starts.

    Example:
        >>> batch = {"image": torch.zeros(1, 3, 8, 8), "label": torch.zeros(1, 8, 8)}
        >>> PseudoLabelQuality([batch], every_n_steps=100).history
        []
    """

    def __init__(
        self, dataloader: Iterable[Mapping[str, Tensor]], *, every_n_steps: int = 500
    ) -> None:
        self.dataloader = dataloader
        self.every_n_steps = every_n_steps
        self.history: list[dict[str, Any]] = []
        """A reading for each entry: ``step``, ``confusion`` (rows: true classes),
        ``miou``, and for each class ``iou``, ``recall``, ``share`` of the pseudo-labels
        and ``true_share``; shares of the pixels that are not void; NaN where undefined.
        """

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take a reading if one is due."""
        module: Any = pl_module
        step = trainer.global_step
        last = self.history[-1]["step"] if self.history else -self.every_n_steps
        if module.mixed_factor() > 0 and step >= last + self.every_n_steps:
            reading = self.read(module)
            self.history.append({"step": step, **reading})
            values = {"pseudo_label/miou": reading["miou"]}
            for name, recall in zip(module.class_names, reading["recall"], strict=True):
                values[f"pseudo_label/recall/{name}"] = recall
            module.log_dict(values, batch_size=1)

    @torch.no_grad()
    def read(self, module: Any) -> dict[str, Any]:
        """Return the scores of the teacher's present pseudo-labels.

        Args:
            module: Module with a ``teacher``, such as ``ClassMix``.
        """
        teacher = copy.deepcopy(module.teacher)  # keeps its batch-norm statistics
        metrics = segmentation_metrics(module.num_classes).to(module.device)
        for batch in self.dataloader:
            with teacher.labeling():
                logits = teacher(batch["image"].to(module.device))
            metrics.update(logits.argmax(1), batch["label"].long().to(module.device))
        scores = metrics.compute()
        confusion = scores["confusion"].cpu().double()
        true, predicted = confusion.sum(1), confusion.sum(0)
        return {
            "confusion": confusion.long().tolist(),
            "miou": scores["miou"].item(),
            "iou": scores["iou"].tolist(),
            "recall": (confusion.diagonal() / true).tolist(),
            "share": (predicted / true.sum()).tolist(),
            "true_share": (true / true.sum()).tolist(),
        }
