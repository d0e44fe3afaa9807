"""Write the checkpoints of a run of a comparison."""

from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint


class IntervalCheckpoint(Checkpoint):
    """Write a checkpoint every few steps and at the last step.

    Lightning calls it after all other callbacks, so that the checkpoint holds the
    updated teacher.

    Args:
        path: Checkpoint file, replaced each time.
        interval: Optimizer steps between two checkpoints.
        on_step: Function that is called with the number of finished steps.
    """

    def __init__(
        self, path: Path, *, interval: int, on_step: Callable[[int], None]
    ) -> None:
        self.path = path
        self.interval = interval
        self.on_step = on_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Write the checkpoint if it is due."""
        step = trainer.global_step
        self.on_step(step)
        if step == trainer.max_steps or step % self.interval == 0:
            trainer.save_checkpoint(self.path, weights_only=False)
