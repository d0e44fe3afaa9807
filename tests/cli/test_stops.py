import json
import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_classmix import StreetScenesDataModule, Supervised
from lightning_classmix.cli.main import main
from tests.images import make_folder

FIT: dict[str, Any] = {
    "data": {
        "class_path": "FolderDataModule",
        "init_args": {"root": "data", "crop": [16, 16], "batch_size": 2},
    },
    "model": {
        "class_path": "ClassMix",
        "init_args": {"model": "small_unet", "encoder_weights": None},
    },
    "trainer": {"max_steps": 4, "accelerator": "cpu", "enable_progress_bar": False},
}


def run(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Run a command line; return the exit status, the output and the errors."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return status, printed.out, printed.err


def signal_at(step: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first training that reaches a step receive a signal there."""
    sent: list[int] = []
    before = Supervised.on_before_zero_grad

    def on_before_zero_grad(self: Any, optimizer: Any) -> None:
        before(self, optimizer)
        if self.global_step == step and not sent:
            sent.append(number)
            signal.raise_signal(number)

    monkeypatch.setattr(Supervised, "on_before_zero_grad", on_before_zero_grad)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder that holds a dataset and a recipe."""
    make_folder(tmp_path / "data")
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(FIT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_stopped_fit_prints_the_command_that_continues_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal_at(2, signal.SIGINT, monkeypatch)
    status, out, _ = run("classmix fit --config fit.yaml", monkeypatch, capsys)
    assert status == 128 + signal.SIGINT
    stopped, command = out.splitlines()[-2:]
    checkpoint = folder / "lightning_logs/version_0/checkpoints/last.ckpt"
    assert stopped == f"stopped by SIGINT after step 3; last checkpoint: {checkpoint}"
    expected = f"classmix fit --config fit.yaml --ckpt_path {checkpoint}"
    assert command == f"continue with: {expected}"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 3

    status, out, _ = run(expected, monkeypatch, capsys)
    assert status == 0
    saved = torch.load(
        "lightning_logs/version_1/checkpoints/last.ckpt", weights_only=True
    )
    assert saved["global_step"] == 4


@pytest.mark.slow
def test_a_stopped_demo_continues_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few_scenes(**options: Any) -> StreetScenesDataModule:
        return StreetScenesDataModule(**options | {"unlabeled": 8, "test": 20})

    module = import_module("lightning_classmix.experiments.demo")
    monkeypatch.setattr(module, "StreetScenesDataModule", few_scenes)
    whole, half = tmp_path / "whole", tmp_path / "half"
    command = "classmix demo --steps 3 --out"
    assert run(f"{command} {whole}", monkeypatch, capsys)[0] == 0
    signal_at(2, signal.SIGTERM, monkeypatch)
    status, out, _ = run(f"{command} {half}", monkeypatch, capsys)
    assert status == 128 + signal.SIGTERM
    assert out.splitlines()[-1] == f"continue with: {command} {half}"
    assert run(f"{command} {half}", monkeypatch, capsys)[0] == 0
    results = [json.loads((out / "results.json").read_text()) for out in (whole, half)]
    assert results[1].pop("minutes")["supervised"] is None  # not all of it was measured
    results[0].pop("minutes")
    assert results[0] == results[1]
    names = sorted(path.name for path in half.iterdir())
    assert names == [".lock", "report.html", "report.png", "results.json"]


@pytest.mark.slow
def test_all_processes_of_a_stopped_fit_end_although_one_got_the_signal(
    folder: Path,
) -> None:
    flags = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    flags += ["--trainer.max_steps", "100000", "--data.num_workers", "1"]
    command = [sys.executable, "-m", "lightning_classmix", "fit", "--config"]
    process = subprocess.Popen(
        [*command, "fit.yaml", *flags],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    checkpoint = Path("lightning_logs/version_0/checkpoints/last.ckpt")
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)  # the pipe closes with the last process
    assert process.returncode == 128 + signal.SIGTERM, out
    assert out.count("continue with: classmix fit --config fit.yaml") == 1
