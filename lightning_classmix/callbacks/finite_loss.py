"""Stop a training whose loss or weights are not finite."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class FiniteLoss(Callback):
    """Raise an error if a training loss is not finite, before a checkpoint is written.

    The logged values whose names begin with ``train_loss`` are checked at every logging
    interval; before every checkpoint also the student's parameters, which the last step
    may have made non-finite. The last checkpoint stays. All devices stop together. The
    modules of this package add the callback if the Trainer has none.
    """

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Check the losses as often as they are logged."""
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
                f" step {trainer.global_step}; lower lr, or clip gradients"
            )


def _losses(trainer: Trainer) -> dict[str, Tensor]:
    """Return the last training losses, by their names in the log."""
    metrics = trainer.callback_metrics
    return {name: metrics[name] for name in metrics if name.startswith("train_loss")}
