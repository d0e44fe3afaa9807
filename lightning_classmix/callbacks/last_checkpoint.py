"""Write the newest checkpoint of a run, whatever its score."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class LastCheckpoint(Callback):
    """Write ``last.ckpt`` after every validation of a fit, and at its end.

    Lightning's ``ModelCheckpoint(save_last=True)`` writes it only together with a new
    best checkpoint, so that resuming from it may lose steps. The file is written to the
    folder of ``ModelCheckpoint``, or to ``checkpoints`` in the Trainer's log folder.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        """Path of the file; None until it is written."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, if the validation is part of a fit."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        path = last_checkpoint_path(trainer)
        self.path = Path(path)
        trainer.save_checkpoint(path, weights_only=False)


def last_checkpoint_path(trainer: Trainer) -> str:
    """Return where ``last.ckpt`` belongs: a path, or an address such as ``s3://…``.

    That is the folder of ``ModelCheckpoint``, or ``checkpoints`` in the log folder.
    """
    best: Any = trainer.checkpoint_callback
    log_dir = trainer.log_dir or trainer.default_root_dir
    folder = getattr(best, "dirpath", None) or os.path.join(log_dir, "checkpoints")
    return os.path.join(folder, "last.ckpt")
