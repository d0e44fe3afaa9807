"""Stop training on a signal, with a checkpoint from which it can be resumed."""

import signal
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_classmix.callbacks.last_checkpoint import last_checkpoint_path
from lightning_classmix.callbacks.signals import SignalFlag, Stopped
from lightning_classmix.checkpoints import repeat_validation


class StopOnSignal(Callback):
    """End a fit on SIGINT, SIGTERM or SIGHUP, with a checkpoint of the current step.

    The step in progress is finished (with accumulated gradients: the optimizer step),
    the checkpoint is written, and `Stopped` is raised. All devices stop at the same
    step. A validation in progress is left and repeated when the fit is resumed; on
    several devices it is finished first. A second signal ends the process at once. On a
    SLURM cluster, Lightning's requeue is done between two steps. The previous signal
    handlers are restored at the end of the fit; a fit outside of the main thread
    cannot handle signals.

    Args:
        path: Checkpoint file; None for ``last.ckpt`` in the folder of
            ``ModelCheckpoint``, or in ``checkpoints`` in the Trainer's log folder.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        self.flag = SignalFlag()
        self._between_steps = False
        self._repeat_validation = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Move this callback after those that change the teacher or write files."""
        if stage == "fit":
            callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
            others = [callback for callback in callbacks if callback is not self]
            trainer.callbacks = [*others, self]  # type: ignore[attr-defined]
            self.flag.number = None

    def on_sanity_check_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Replace the signal handlers; Lightning has set its own before."""
        self.flag.__enter__()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the signal handlers, or stop if there was a signal.

        Raises:
            Stopped: If there was one.
        """
        self.flag.__enter__()
        environment = _cluster(trainer)
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
            self.flag.delay_requeue(environment.requeue_signal or signal.SIGUSR1)
        if trainer.received_sigterm and self.flag.number is None:
            self.flag.number = signal.SIGTERM
        self._between_steps = True
        number = self._agreed(trainer)
        if number:
            raise Stopped(number, trainer.ckpt_path)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Stop, or requeue, if the batch ended in an optimizer step.

        Raises:
            Stopped: If there was a signal.
        """
        window = trainer.accumulate_grad_batches
        self._between_steps = (batch_idx + 1) % window == 0 or trainer.is_last_batch
        if not self._between_steps:
            return
        number = self._agreed(trainer)
        if number:
            loop: Any = trainer.fit_loop
            due = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
            self._stop(trainer, number, repeat_validation=due)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop if there was a signal and no other device would wait.

        Raises:
            Stopped: If there was a signal.
        """
        number = self.flag.number
        if number and trainer.world_size == 1 and self._in_fit(trainer):
            self._stop(trainer, number, repeat_validation=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if there was a signal.

        Raises:
            Stopped: If there was one.
        """
        if self._in_fit(trainer):
            number = self._agreed(trainer)
            if number:
                self._stop(trainer, number, repeat_validation=False)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a resumed fit begin with the validation that was left out."""
        if self._repeat_validation:
            repeat_validation(checkpoint)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the signal handlers."""
        self.flag.__exit__()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the signal handlers; set the exit status of Lightning's own stop."""
        self.flag.__exit__()
        if isinstance(exception, SIGTERMException):
            exception.code = 128 + signal.SIGTERM

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        """Restore the signal handlers, after a learning rate or batch size finder."""
        self.flag.__exit__()

    def _in_fit(self, trainer: Trainer) -> bool:
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        return fitting and self._between_steps

    def _agreed(self, trainer: Trainer) -> int:
        """Requeue if a device got that signal; return the stop signal of any, or 0."""
        number = self.flag.number or 0
        requeue = self.flag.requeue
        if trainer.world_size > 1:
            device = trainer.strategy.root_device
            own = torch.tensor([number, requeue], device=device)
            both: Any = trainer.strategy.reduce(own, reduce_op="max")
            number, requeue = both.tolist()
        if requeue:
            self.flag.call_requeue()
        return number

    def _stop(self, trainer: Trainer, number: int, *, repeat_validation: bool) -> None:
        path = self.path or last_checkpoint_path(trainer)
        self._repeat_validation = repeat_validation
        try:
            trainer.save_checkpoint(path, weights_only=False)
        finally:
            self._repeat_validation = False
        stop = Stopped(number, path, trainer.global_step)
        if _launched_by_lightning(trainer):
            stop.code = 0  # else the first process is killed, and has no status
        rank_zero_info(f"{stop}")
        raise stop


def _launched_by_lightning(trainer: Trainer) -> bool:
    """Return whether the process of the first device has started this process."""
    started = isinstance(_cluster(trainer), LightningEnvironment)
    return started and trainer.local_rank > 0


def _cluster(trainer: Trainer) -> Any:
    connector: Any = trainer._accelerator_connector
    return connector.cluster_environment
