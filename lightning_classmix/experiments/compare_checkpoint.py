"""Keep a run of a comparison resumable: checkpoints at intervals and on signals."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)
"""Signals that end a comparison after the current step."""


class Stopped(Exception):
    """A signal stopped the comparison, which the same call continues.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class SignalFlag:
    """Note the first stop signal inside a ``with`` block; a second one ends at once.

    Outside of the main thread, which alone can handle signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """Number of the signal that was received; None before."""
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "SignalFlag":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _note(self, number: int, _: object) -> None:
        self.number = number
        for stop in self._handlers:
            signal.signal(stop, signal.SIG_DFL)


class ResumableCheckpoint(Checkpoint):
    """Write a checkpoint every few steps, at the last step and on a stop signal.

    Lightning calls it after all other callbacks, so that the checkpoint holds the
    updated teacher.

    Args:
        path: Checkpoint file, replaced each time.
        interval: Optimizer steps between two checkpoints.
        on_step: Function that is called with the number of finished steps.

    Raises:
        Stopped: After the checkpoint of a stop signal.
    """

    def __init__(
        self, path: Path, *, interval: int, on_step: Callable[[int], None]
    ) -> None:
        self.path = path
        self.interval = interval
        self.on_step = on_step
        self.flag = SignalFlag()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the signal handlers; Lightning has set its own before."""
        self.flag.__enter__()

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
        number = self.flag.number
        last = step == trainer.max_steps
        if number is not None or last or step % self.interval == 0:
            trainer.save_checkpoint(self.path, weights_only=False)
        if number is not None:
            raise Stopped(number)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the signal handlers."""
        self.flag.__exit__()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the signal handlers."""
        self.flag.__exit__()
