"""Commands that do not train end at once on a signal; nothing is half-written."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.callbacks.signals import Interrupted, StopAtOnce
from lightning_classmix.cli import main as command_line
from lightning_classmix.modules.evaluation import EvaluationModule
from tests.images import make_folder
from tests.shell import FIT, Shell

MODEL = (
    "--model.network null --model.model small_unet --model.encoder_weights null"
    " --model.model_options.width 4"
)
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for one step; return the folder of data, recipe, images and checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    make_folder(folder / "data")
    shutil.copytree(folder / "data/val", folder / "data/test")
    (folder / "labelme").mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
            folder / f"labelme/{name}.png"
        )
        points = [[0, 0], [6, 0], [6, 6], [0, 6]]
        shape = {"label": "road", "shape_type": "polygon", "points": points}
        content = {"imagePath": f"{name}.png", "shapes": [shape]}
        (folder / f"labelme/{name}.json").write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        shell = Shell(folder, patch, _Silent())
        assert shell(f"{FIT} {MODEL} --trainer.max_steps 1")[0] == 0
    (folder / "lightning_logs/version_0/checkpoints/last.ckpt").rename(
        folder / "run.ckpt"
    )
    return folder


class _Silent:
    def readouterr(self) -> tuple[str, str]:
        return "", ""


@pytest.fixture
def shell(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(trained, monkeypatch, capsys)


def signal_in(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, call: int = 1
) -> None:
    """Let this process receive a signal when a function is called for a time."""
    function: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(number)
        if len(calls) == call:
            signal.raise_signal(number)
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


COMMANDS = {
    "validate": (
        "validate --trainer.accelerator cpu --ckpt_path run.ckpt",
        (EvaluationModule, "validation_step", 2),
    ),
    "test": (
        "test --trainer.accelerator cpu --ckpt_path run.ckpt",
        (EvaluationModule, "test_step", 1),
    ),
    "predict": (
        "predict --trainer.accelerator cpu --ckpt_path run.ckpt",
        (Image.Image, "save", 4),
    ),
    "predict-images": (
        "predict-images data/images --ckpt_path run.ckpt --out images --device cpu",
        (Image.Image, "save", 4),
    ),
    "check": (
        "check --data FolderDataModule --data.root data",
        ("lightning_classmix.datasets.image_files", "read_image", 2),
    ),
    "export": (
        "export --ckpt_path run.ckpt --out new --format safetensors",
        ("lightning_classmix.inference.formats.safetensors", "save", 1),
    ),
    "convert": (
        "convert --from labelme labelme --out new",
        (Image.Image, "save", 2),
    ),
    "report": (
        "report lightning_logs/version_0 --out new.html",
        ("lightning_classmix.experiments.report", "add_scores", 1),
    ),
}
REST = {
    "predict": "; 1 predictions: {folder}/lightning_logs/version_N/predictions",
    "predict-images": "; 1 predictions: images",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_ends_a_command_in_one_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    number = NUMBERS[[*COMMANDS].index(command) % len(NUMBERS)]
    line, (owner, name, call) = COMMANDS[command]
    owner = import_module(owner) if isinstance(owner, str) else owner
    signal_in(monkeypatch, owner, name, number, call)
    handlers = [signal.getsignal(number) for number in NUMBERS]
    before = {*shell.folder.rglob("*")}
    status, out, errors = shell(line)
    assert status == 128 + number, errors
    rest = REST.get(command, "").format(folder=shell.folder)
    line = re.sub(r"version_\d", "version_N", errors.splitlines()[-1])
    assert line == f"classmix: stopped by {signal.Signals(number).name}{rest}"
    assert "Traceback" not in out + errors
    assert [signal.getsignal(number) for number in NUMBERS] == handlers
    written = {*shell.folder.rglob("*")} - before
    assert not [path for path in written if ".part" in path.name]
    if command in ("export", "convert", "report"):
        assert not [path for path in written if path.name.startswith("new")]


def test_a_signal_during_the_imports_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        command_line, "_run", lambda _: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "classmix: stopped by SIGINT\n"


def test_the_other_devices_print_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(
        command_line, "_run", lambda _: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 143
    assert capsys.readouterr().err == ""


def test_a_forked_process_leaves_signals_to_the_process_that_forked_it() -> None:
    with StopAtOnce() as flag:
        flag._process = os.getpid() + 1
        signal.raise_signal(signal.SIGTERM)
        flag._process = os.getpid()
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
