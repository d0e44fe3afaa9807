"""Signals that stop a command: at once, or when the current step is finished."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)
"""Signals that end a training after the current step."""

_SAME_STOP = 1.0  # seconds; programs such as timeout send a signal twice


class Stopped(SystemExit):
    """A signal stopped the training; if not caught, the exit status is 128 + signal.

    Args:
        number: Number of the signal.
        path: Checkpoint to resume from; None if there is none yet.
        step: Number of finished optimizer steps.
    """

    def __init__(
        self, number: int, path: str | Path | None = None, step: int | None = None
    ) -> None:
        super().__init__(128 + number)
        self.number = number
        self.path = path
        self.step = step

    def __str__(self) -> str:
        """Return what happened, in one line."""
        name = signal.Signals(self.number).name
        if self.path is None:
            return f"stopped by {name} before the first step"
        step = "" if self.step is None else f" after step {self.step}"
        return f"stopped by {name}{step}; last checkpoint: {self.path}"


class Interrupted(SystemExit):
    """A signal stopped a command; if not caught, the exit status is 128 + signal.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        """Return what happened, with the notes that were added, in one line."""
        stopped = f"stopped by {signal.Signals(self.number).name}"
        return "; ".join([stopped, *getattr(self, "__notes__", ())])


class SignalFlag:
    """Note the first stop signal inside a ``with`` block; a second one ends at once.

    A second signal within one second counts as the first one. Outside of the main
    thread, which alone can handle signals, nothing is noted. Processes that are forked
    inside of the block leave signals to this process.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """Number of the signal that was received; None before."""
        self.requeue = False
        """Whether SLURM's requeue signal was received and not handled yet."""
        self._requeue_handler: Any = None
        self._handlers: dict[int, Any] = {}
        self._time = 0.0
        self._process: int | None = None

    def __enter__(self) -> "SignalFlag":
        self._process = os.getpid()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._replace(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def delay_requeue(self, number: int) -> None:
        """Note a requeue signal in ``requeue`` instead of handling it at once."""
        self._requeue_handler = signal.getsignal(number)
        self._replace(number, lambda *_: setattr(self, "requeue", True))

    def call_requeue(self) -> None:
        """Call the handler that ``delay_requeue`` has replaced."""
        self.requeue = False
        self._requeue_handler(0, None)

    def _replace(self, number: int, handler: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            previous = signal.signal(number, handler)
            self._handlers.setdefault(number, previous)

    def _note(self, number: int, _: object) -> None:
        if os.getpid() != self._process:
            return
        if self.number is None:
            self.number = number
            self._time = time.monotonic()
        elif time.monotonic() - self._time > _SAME_STOP:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


class StopAtOnce(SignalFlag):
    """Raise `Interrupted` at the first stop signal inside a ``with`` block."""

    def _note(self, number: int, frame: object) -> None:
        before = self.number
        super()._note(number, frame)
        if self.number != before:
            raise Interrupted(number)
