"""Execute the runs of a comparison, in this process or in several worker processes."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from lightning_classmix.atomic import write_text
from lightning_classmix.callbacks.signals import SignalFlag, Stopped
from lightning_classmix.experiments.compare_run import Run
from lightning_classmix.experiments.compare_training import execute
from lightning_classmix.experiments.folder_lock import lock_folder

_REPORT_INTERVAL = 0.5  # seconds between two reports of a worker
_ERROR_FILE = "error.txt"


def execute_all(
    runs: Sequence[Run],
    *,
    jobs: int,
    threads: int,
    on_step: Callable[[Run, int | None], None],
) -> None:
    """Execute the runs that have no result yet.

    If a run fails, those in progress stop after their current step.

    Args:
        runs: The runs.
        jobs: Number of worker processes; 1 executes the runs in this process.
        threads: Threads of torch in each process.
        on_step: Function that is called with a run and the number of its finished
            steps, and with None if its result is written.

    Raises:
        RuntimeError: If a worker process failed; the message names the run.
        Stopped: If a signal stopped the runs; the same call continues them.
    """
    waiting = []
    for run in runs:
        if run.result() is None:
            waiting.append(run)
        else:
            on_step(run, None)
    if jobs == 1:
        threads_before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with SignalFlag() as flag:  # between the trainings
                for run in waiting:
                    execute(run, lambda step, run=run: on_step(run, step))  # type: ignore
                    on_step(run, None)
                    if flag.number is not None:
                        raise Stopped(flag.number, run.setup.out)
        finally:
            torch.set_num_threads(threads_before)
        return

    workers: dict[Any, tuple[Run, SpawnProcess]] = {}
    with SignalFlag() as flag:
        try:
            while waiting or workers:
                while waiting and len(workers) < jobs:
                    run = waiting.pop(0)
                    connection, process = _start(run, threads)
                    workers[connection] = (run, process)
                ready: list[Any] = wait(list(workers), timeout=_REPORT_INTERVAL)
                for connection in ready:
                    run, process = workers[connection]
                    try:
                        on_step(run, connection.recv())
                    except EOFError:  # the process has ended
                        del workers[connection]
                        process.join()
                        _check_exit(run, process)
                        on_step(run, None)
                if flag.number is not None:
                    raise Stopped(flag.number, runs[0].setup.out)
        finally:
            for _, process in workers.values():
                process.terminate()
            for _, process in workers.values():
                process.join()


def _start(run: Run, threads: int) -> tuple[Connection, SpawnProcess]:
    """Start a worker process that ignores Ctrl-C; this process stops it by SIGTERM."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(run, threads, sender))
    handlers: dict[int, Any] = {}
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        with suppress(ValueError):  # outside of the main thread
            handlers.setdefault(number, signal.signal(number, signal.SIG_IGN))
    try:
        process.start()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    sender.close()
    return receiver, process


def _work(run: Run, threads: int, sender: Connection) -> None:
    torch.set_num_threads(threads)
    reported = 0.0

    def report(step: int) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported > _REPORT_INTERVAL:
            reported = now
            sender.send(step)

    try:
        # After a kill of the main process, its workers go on until they report.
        with lock_folder(run.folder):
            execute(run, report)
    except Exception as error:
        lines = [*traceback.format_exception(error), f"{error}\n"]
        write_text(run.folder / _ERROR_FILE, "".join(lines))
        raise SystemExit(1) from None


def _check_exit(run: Run, process: SpawnProcess) -> None:
    if (run.folder / "result.json").exists():
        return
    path = run.folder / _ERROR_FILE
    if process.exitcode == 1 and path.exists():
        reason = path.read_text("utf-8", errors="surrogateescape").splitlines()[-1]
        raise RuntimeError(f"run {run} failed: {reason}; see {path}")
    raise RuntimeError(
        f"the process of run {run} must end with a result, got status"
        f" {process.exitcode}; the same command continues from the last checkpoint"
    )
