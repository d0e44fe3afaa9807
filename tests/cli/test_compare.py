import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_classmix.cli.main import main
from lightning_classmix.experiments import compare as experiment
from tests.images import make_camvid

CONFIG: dict[str, Any] = {
    "data": {
        "class_path": "CamVidDataModule",
        "init_args": {"size": [24, 32], "batch_size": 2, "num_workers": 0},
    },
    "methods": ["supervised", "mine"],
    "labels": [4],
    "seeds": [0],
    "steps": 2,
    "rates": {"supervised": 0.02, "mine": 0.01},
    "define": {
        "mine": {
            "class_path": "ClassMix",
            "init_args": {"mixer": "cutmix", "labeled_only_steps": 0},
            "decay": 0.9,
        }
    },
}
FLAGS = ["--config", "compare.yaml", "--data.root", "data", "--out", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder that holds a dataset and a config."""
    make_camvid(tmp_path / "data", train=50, val=2)
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["classmix", "compare", *FLAGS, *flags])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_config_defines_a_method(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    runs = json.loads(Path("out/results.json").read_text())["runs"]
    assert [(one["method"], one["lr"]) for one in runs] == [
        ("supervised", 0.02),
        ("mine", 0.01),
    ]
    assert runs[1]["init_args"] == {"mixer": "cutmix", "labeled_only_steps": 0}
    assert runs[1]["decay"] == 0.9
    assert "report.md" in capsys.readouterr().out


def test_flags_take_comma_separated_lists_and_precede_the_config(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ["--labels", "3,all", "--methods=supervised", "--rates", "0.5"]
    flags += ["--steps", "1", "--shared.weight_decay", "0.25"]
    assert run(monkeypatch, *flags) == 0
    runs = json.loads(Path("out/results.json").read_text())["runs"]
    assert [(one["labels"], one["lr"]) for one in runs] == [(3, 0.5), (10, 0.5)]
    assert {one["shared"]["weight_decay"] for one in runs} == {0.25}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--methods", "clasmix"], "got 'clasmix'; did you mean classmix"),
        (["--labels", "400"], "labels must be 'all' or in [1, 10]"),
        (["--seeds", ""], "seeds must have at least 1 value, got none"),
        (["--out", "compare.yaml"], "compare.yaml cannot be used: File exists"),
        (["--data.root", "nowhere"], "root must be a folder, got nowhere"),
        (["--stepz", "3"], "stepz is not an argument; did you mean steps"),
    ],
)
def test_wrong_flags_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, *flags) > 0
    errors = capsys.readouterr().err
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not list(Path().rglob("*.ckpt"))


def test_a_full_disk_of_a_log_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(experiment, "execute_all", fails)
    assert run(monkeypatch) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("classmix: error: out cannot be used: No space left on")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_command_writes_a_checkpoint_and_ends_with_its_status(
    monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    flags = [*FLAGS, "--jobs", str(jobs), "--steps", "100000", "--methods", "mine"]
    command = [sys.executable, "-m", "lightning_classmix", "compare", *flags]
    process = subprocess.Popen([*command, "--rates", "0.01"])
    checkpoint = Path("out/runs/mine/4-labels-seed-0/last.ckpt")
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    step = torch.load(checkpoint, weights_only=True)["global_step"]
    assert step >= 200
    assert not (checkpoint.parent / "result.json").exists()
