"""Stop training when the loss or the weights are not finite."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_classmix.batches import find_not_finite


class FiniteLoss(Callback):
    """Raise an error if a training loss is not finite, before a checkpoint is written.

    The logged values whose names begin with ``train_loss`` are checked at every logging
    interval; before every checkpoint also the student's parameters, which the last step
    may have made non-finite. The last checkpoint stays. All devices stop together. The
    error names the first image that held NaN or infinity, if there was one. The modules
    of this package add the callback if the Trainer has none.
    """

    def __init__(self) -> None:
        self._faults: dict[str, Tensor] = {}
        """Step and item of the first image that is not finite, int64 ``(2,)``, by part.

        The step is -1 if there was none. The tensors stay on the device of the images.
        """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the images of an earlier training."""
        self._faults = {}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Look for images that are not finite; check losses as often as logged."""
        for part, wrong in find_not_finite(batch).items():
            found = wrong.new_full((2,), trainer.global_step, dtype=torch.int64)
            found[1] = wrong.int().argmax()
            first = self._faults.get(part, torch.full_like(found, -1))
            earlier = (first[0] >= 0) | ~wrong.any()
            self._faults[part] = torch.where(earlier, first, found)
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if interval and trainer.global_step % interval == 0:
            self.check(trainer, _losses(trainer))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the losses and the student's parameters."""
        losses = _losses(trainer)
        student: Any = getattr(pl_module, "student", pl_module)
        weights = {f"weight {name}": p for name, p in student.named_parameters()}
        self.check(trainer, losses | weights if losses else {})

    def check(self, trainer: Trainer, tensors: dict[str, Tensor]) -> None:
        """Check that tensors are finite, on all devices.

        Raises:
            FloatingPointError: If a tensor of any device is not.
        """
        wrong = [name for name, value in tensors.items() if not value.isfinite().all()]
        if trainer.strategy.reduce_boolean_decision(bool(wrong), all=False):
            values = ", ".join(f"{n} {tensors[n].sum().item()}" for n in wrong[:3])
            raise FloatingPointError(
                f"losses must be finite, got {values or 'others on another device'} at"
                f" step {trainer.global_step}; {self._remedy()}"
            )

    def _remedy(self) -> str:
        """Name the first image of each part that is not finite."""
        faults = {part: fault.tolist() for part, fault in self._faults.items()}
        named = [
            f"image holds NaN or infinity in item {item} of the {part} batch of step"
            f" {step}"
            for part, (step, item) in faults.items()
            if step >= 0
        ]
        return "; ".join(named) or "lower lr, or clip gradients"


def _losses(trainer: Trainer) -> dict[str, Tensor]:
    """Return the last training losses, by their names in the log."""
    metrics = trainer.callback_metrics
    return {name: metrics[name] for name in metrics if name.startswith("train_loss")}
