"""The newest checkpoint of a run, whatever its score."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class LastCheckpoint(Callback):
    """Write ``last.ckpt`` after every validation of a fit, and at its end.

    Lightning's ``ModelCheckpoint(save_last=True)`` writes it only beside a new best
    one, so that to go on from it may throw work away. It lies where ``ModelCheckpoint``
    puts its own, or in ``checkpoints`` in the Trainer's log folder.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        """The file, once it was written."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, unless the validation is no part of training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        best: Any = trainer.checkpoint_callback
        log_dir = trainer.log_dir or trainer.default_root_dir
        folder = getattr(best, "dirpath", None) or os.path.join(log_dir, "checkpoints")
        place = os.path.join(folder, "last.ckpt")  # it may be an address
        self.path = Path(place)
        trainer.save_checkpoint(place, weights_only=False)
