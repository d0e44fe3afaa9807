import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.multiprocessing.spawn import ProcessExitedException

from lightning_classmix import ClassMix
from lightning_classmix.callbacks import EMATeacher, StopOnSignal, Stopped
from lightning_classmix.callbacks.signals import STOP_SIGNALS, SignalFlag
from tests import tiny

STEPS = 7


class Signal(Callback):
    """Send a signal to this process in a hook at a step; record losses and scores."""

    def __init__(
        self,
        hook: str = "on_before_backward",
        step: int = 2,
        number: int = signal.SIGTERM,
        rank: int = 0,
    ) -> None:
        self.send = (hook, step, rank)
        self.number = number
        self.losses: dict[int, float] = {}
        self.scores: dict[int, float] = {}

    def _reach(self, trainer: Trainer, hook: str) -> None:
        if (hook, trainer.global_step, trainer.global_rank) == self.send:
            self.send = ("", 0, 0)
            signal.raise_signal(self.number)

    def on_sanity_check_start(self, trainer: Trainer, *_: Any) -> None:
        self._reach(trainer, "on_sanity_check_start")

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        self._reach(trainer, "on_before_backward")

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        sanity = trainer.sanity_checking
        self._reach(trainer, "sanity" if sanity else "on_validation_batch_start")

    def on_train_batch_end(
        self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        assert number not in self.losses
        self.losses[number] = outputs["loss"].item()

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            score = trainer.callback_metrics["val_miou"].item()
            self.scores[trainer.global_step] = score


def fit(
    folder: Path, sender: Signal, *, ckpt_path: Any = None, **options: Any
) -> tuple[Any, Stopped | None]:
    """Train, or resume; return the module, and why the fit stopped."""
    seed_everything(0, verbose=False)
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=2)
    best = ModelCheckpoint(folder, monitor="val_miou", mode="max")
    defaults = {
        "max_steps": STEPS,
        "callbacks": [StopOnSignal(), sender, best],
        "enable_checkpointing": "callbacks" not in options,
    }
    trainer = tiny.trainer(**defaults | options)
    try:
        trainer.fit(module, tiny.data(), ckpt_path=ckpt_path)
    except Stopped as stop:
        return module, stop
    return module, None


EVERY_STEP: dict[str, Any] = {"val_check_interval": 1}
STOPS = [
    pytest.param("on_before_backward", 2, {}, 3, id="step"),
    pytest.param("on_before_backward", 4, {}, 5, id="end of an epoch"),
    pytest.param("on_before_backward", 2, EVERY_STEP, 3, id="before a validation"),
    pytest.param("on_validation_batch_start", 3, EVERY_STEP, 3, id="validation"),
    pytest.param("on_validation_batch_start", 5, {}, 5, id="last validation"),
    pytest.param(
        "on_before_backward", 1, {"accumulate_grad_batches": 2}, 2, id="window"
    ),
    pytest.param("on_before_backward", 6, {}, 7, id="last step"),
]


@pytest.mark.parametrize(("hook", "step", "options", "stopped_at"), STOPS)
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists")
def test_a_stopped_and_resumed_fit_equals_an_uninterrupted_one(
    hook: str, step: int, options: dict[str, Any], stopped_at: int, tmp_path: Path
) -> None:
    whole, first, second = Signal(""), Signal(hook, step), Signal("")
    expected, _ = fit(tmp_path / "whole", whole, **options)
    _, stop = fit(tmp_path / "half", first, **options)
    assert stop is not None
    assert (stop.code, stop.step) == (128 + signal.SIGTERM, stopped_at)
    path = tmp_path / "half" / "last.ckpt"
    assert Path(str(stop.path)) == path
    assert torch.load(path, weights_only=True)["global_step"] == stopped_at

    module, _ = fit(tmp_path / "half", second, ckpt_path=path, **options)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    assert not first.losses.keys() & second.losses.keys()
    assert first.losses | second.losses == whole.losses
    assert not first.scores.keys() & second.scores.keys()
    assert first.scores | second.scores == whole.scores


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_sets_the_exit_status(number: int, tmp_path: Path) -> None:
    _, stop = fit(tmp_path, Signal(number=number))
    assert stop is not None
    assert stop.code == 128 + number
    name = signal.Signals(number).name
    assert str(stop) == (
        f"stopped by {name} after step 3; last checkpoint: {tmp_path}/last.ckpt"
    )


@pytest.mark.parametrize("step", [2, -1])
def test_signal_handlers_are_restored_after_the_fit(step: int, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    fit(tmp_path, Signal(step=step))
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_signal_before_the_first_step_writes_no_checkpoint(tmp_path: Path) -> None:
    _, stop = fit(tmp_path, Signal("sanity", 0))
    assert stop is not None
    assert stop.path is None
    assert str(stop) == "stopped by SIGTERM before the first step"
    assert not list(tmp_path.glob("*.ckpt"))


def test_the_status_tells_a_signal_that_lightning_handles(tmp_path: Path) -> None:
    with pytest.raises(SIGTERMException) as end:  # before our handlers are set
        fit(tmp_path, Signal("on_sanity_check_start", 0))
    assert end.value.code == 128 + signal.SIGTERM


def test_the_second_signal_ends_the_process_after_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []
    with SignalFlag() as flag:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # programs such as timeout send two
        assert flag.number == signal.SIGTERM
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 1.5)
        send = signal.raise_signal
        monkeypatch.setattr(signal, "raise_signal", ended.append)
        send(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert ended == [signal.SIGINT]


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with SignalFlag() as flag:
            signal.raise_signal(signal.SIGHUP)
        assert flag.number is None
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_fit_in_another_thread_handles_no_signals(tmp_path: Path) -> None:
    results: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.append(fit(tmp_path, Signal(step=-1)))
    )
    thread.start()
    thread.join()
    assert results[0][1] is None


def test_the_checkpoint_holds_the_teacher_of_the_last_step(tmp_path: Path) -> None:
    path = tmp_path / "mine.ckpt"
    callbacks = [StopOnSignal(path), Signal(), EMATeacher(0.5)]
    module, stop = fit(tmp_path, Signal(), callbacks=callbacks)
    assert stop is not None
    assert stop.path == path
    saved = torch.load(path, weights_only=True)
    for name, value in module.state_dict().items():
        assert torch.equal(saved["state_dict"][name], value), name
    assert saved["callbacks"]["EMATeacher"]["updates"] == 3


@pytest.mark.forks
@pytest.mark.parametrize("rank", [0, 1])
def test_all_devices_stop_at_the_same_step(rank: int, tmp_path: Path) -> None:
    class Steps(Callback):
        def on_save_checkpoint(self, trainer: Trainer, *_: Any) -> None:
            path = tmp_path / f"{trainer.global_rank}.txt"
            path.write_text(str(trainer.global_step))

    sender = Signal(rank=rank)
    options = {"strategy": "ddp_fork", "devices": 2}
    callbacks = [StopOnSignal(tmp_path / "last.ckpt"), sender, Steps()]
    with pytest.raises(ProcessExitedException):
        fit(tmp_path, sender, callbacks=callbacks, **options)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["3", "3"]
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the variables of a SLURM job; return the log of a fake ``scontrol``."""
    program, log = tmp_path / "bin" / "scontrol", tmp_path / "scontrol.txt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in {
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
    }.items():
        monkeypatch.setenv(name, value)
    return log


@pytest.mark.filterwarnings("ignore:The .*srun.* command")
def test_a_job_that_slurm_requeues_goes_on_where_it_was(
    slurm: Path, tmp_path: Path
) -> None:
    options = {"default_root_dir": tmp_path / "job", "limit_val_batches": 0}
    expected, _ = fit(tmp_path, Signal(), callbacks=[], limit_val_batches=0)

    class Term(Signal):
        """SLURM ends a job that it requeues."""

    callbacks = [
        StopOnSignal(tmp_path / "last.ckpt"),
        Signal(step=2, number=signal.SIGUSR1),
        Term(step=4),
    ]
    _, stop = fit(tmp_path, Signal(), callbacks=callbacks, **options)
    assert stop is not None
    assert stop.step == 5
    assert slurm.read_text() == "requeue 17\n"
    (checkpoint,) = (tmp_path / "job").glob("hpc_ckpt_*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 3

    callbacks = [StopOnSignal(tmp_path / "last.ckpt"), rest := Signal("")]
    module, _ = fit(tmp_path, Signal(), callbacks=callbacks, **options)
    assert min(rest.losses) == 3
    for name, value in expected.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
