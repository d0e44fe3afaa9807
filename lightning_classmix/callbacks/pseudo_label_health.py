"""Log statistics of the pseudo-labels, and warn when classes vanish from them."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_classmix import batches, ops

_READINGS = 5  # in a row without a class, before a warning
_OBSERVED = 10  # steps that are counted in each logging interval
VANISHED = 0.05
"""Share of a class among the pseudo-labels, relative to that among the labels, below
which the class counts as missing."""

REMEDY = (
    "raise labeled_only_steps or lower unlabeled_weight, so that the labels teach these"
    " classes first, or label more images that show them"
)
"""What to do about a missing class."""

_SCALARS = ("pixels", "confident", "agreed", "moved", "classes", "images")


class PseudoLabelHealth(Callback):
    """Log how the pseudo-labels of a training develop, and warn when a class vanishes.

    At every logging interval, over about ten steps of it and all devices:

    * ``pseudo_label/confident``: share of the mixed pixels whose confidence reaches the
      module's ``threshold``;
    * ``pseudo_label/agreement``: share of the mixed pixels for which the student
      predicts the pseudo-label;
    * ``pseudo_label/moved``: share of the pixels that are pasted into another image;
    * ``pseudo_label/classes_per_image``: mean number of classes in the pseudo-label of
      an image;
    * ``pseudo_label/share/<class>``: share of the class among the pseudo-labels;
    * ``pseudo_label/labeled_share/<class>``: the same among all labels seen so far.

    Void and padded pixels are left out. A warning names the classes of the labels whose
    share among the pseudo-labels stays below a twentieth of their share among the
    labels for five intervals in a row. Takes the outputs that ``ClassMix`` returns from
    ``training_step``; without them nothing is logged. The counters stay on the device
    between two intervals.
    """

    def __init__(self) -> None:
        self.labeled_counts: list[int] = []
        """Pixels of each class in the labels seen so far; 0 at first."""
        self.vanished: dict[int, int] = {}
        """Intervals in a row in which a class was missing, by class."""
        self._counts: Tensor | None = None
        self._last_read = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to count."""
        self._counts = None
        self._last_read = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the classes of this batch; log them at the end of an interval."""
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = trainer.global_step
        if not interval or not step:
            return
        ends = step % interval == 0
        if not ends and step % max(1, interval // _OBSERVED):
            return
        module: Any = pl_module
        names: Sequence[str] | None = getattr(module, "class_names", None)
        labeled = batches.labeled_part(batch)
        if names is None or "label" not in labeled:
            return
        counts = self._count(module, len(names), labeled["label"], outputs)
        self._counts = counts if self._counts is None else self._counts + counts
        if ends and step > self._last_read:
            self._last_read = step
            total: Any = trainer.strategy.reduce(self._counts, reduce_op="sum")
            self._counts = None
            self._log(module, names, total.tolist(), interval)

    @torch.no_grad()
    def _count(self, module: Any, classes: int, label: Tensor, outputs: Any) -> Tensor:
        """Return all counts of a batch as one vector, on the device."""
        labels = _classes_by_image(label, classes).sum(0)
        if not isinstance(outputs, dict) or "pseudo_label" not in outputs:
            return torch.cat([labels, labels.new_zeros(classes + len(_SCALARS))])
        pseudo = _classes_by_image(outputs["pseudo_label"], classes)
        target = outputs["target"]
        confident = outputs["confidence"] >= getattr(module, "threshold", 0.968)
        scalars = [
            (target != ops.VOID).sum(),
            (confident & (target != ops.VOID)).sum(),
            (outputs["logits"].argmax(1) == target).sum(),
            (outputs["mask"] & (outputs["pseudo_label"] != ops.VOID)).sum(),
            (pseudo > 0).sum(),
            labels.new_full((), len(pseudo)),
        ]
        return torch.cat([labels, pseudo.sum(0), torch.stack(scalars)])

    def _log(
        self, module: Any, names: Sequence[str], counts: list[int], interval: int
    ) -> None:
        """Log the shares of an interval; warn of classes that have vanished."""
        classes = len(names)
        earlier = self.labeled_counts or [0] * classes
        self.labeled_counts = [
            a + b for a, b in zip(earlier, counts[:classes], strict=True)
        ]
        pseudo = counts[classes : 2 * classes]
        scalars = dict(zip(_SCALARS, counts[2 * classes :], strict=True))
        if not scalars["pixels"] or not sum(pseudo):
            return  # labeled images only, so far
        shares = [count / sum(pseudo) for count in pseudo]
        total = max(1, sum(self.labeled_counts))
        labeled_shares = [count / total for count in self.labeled_counts]
        values = {
            "confident": scalars["confident"] / scalars["pixels"],
            "agreement": scalars["agreed"] / scalars["pixels"],
            "moved": scalars["moved"] / sum(pseudo),
            "classes_per_image": scalars["classes"] / scalars["images"],
        }
        for name, share, prior in zip(names, shares, labeled_shares, strict=True):
            values[f"share/{name}"] = share
            values[f"labeled_share/{name}"] = prior
        module.log_dict(
            {f"pseudo_label/{name}": value for name, value in values.items()},
            batch_size=scalars["images"],
        )
        self._warn(names, shares, labeled_shares, interval)

    def _warn(
        self,
        names: Sequence[str],
        shares: Sequence[float],
        labeled_shares: Sequence[float],
        interval: int,
    ) -> None:
        held = [index for index, share in enumerate(labeled_shares) if share > 0]
        new = []
        for index in held:
            if shares[index] >= VANISHED * labeled_shares[index]:
                self.vanished[index] = 0
                continue
            self.vanished[index] = self.vanished.get(index, 0) + 1
            if self.vanished[index] == _READINGS:
                new.append(index)
        if not new:
            return
        steps = f"in the last {_READINGS * interval} steps"
        left = [i for i in held if self.vanished[i] < _READINGS]
        if len(left) <= 1:
            largest = max(range(len(names)), key=lambda index: shares[index])
            rank_zero_warn(
                f"class {names[largest]} covers {shares[largest]:.1%} of the"
                f" pseudo-labels, and {labeled_shares[largest]:.1%} of the labels;"
                f" every other class has vanished from the pseudo-labels {steps};"
                f" {REMEDY}"
            )
            return
        listed = ", ".join(
            f"{names[i]} ({shares[i]:.2%} of them, {labeled_shares[i]:.2%} of the"
            " labels)"
            for i in new
        )
        rank_zero_warn(
            f"classes have vanished from the pseudo-labels {steps}: {listed}; {REMEDY}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of the labels and of the missing classes."""
        return {"labeled_counts": self.labeled_counts, "vanished": self.vanished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts."""
        self.labeled_counts = list(state_dict["labeled_counts"])
        self.vanished = dict(state_dict["vanished"])


def _classes_by_image(label: Tensor, classes: int) -> Tensor:
    """Return the number of pixels of each class in each image, int64 ``(B, C)``."""
    index = label.where(label != ops.VOID, classes).flatten(1)
    counts = index.new_zeros(len(index), classes + 1)
    return counts.scatter_add_(1, index, torch.ones_like(index))[:, :classes]
