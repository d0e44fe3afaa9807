import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_classmix import Supervised
from lightning_classmix.cli.machine_errors import hide_in_threads, machine_error_message
from tests.cli.test_stops import folder, run

__all__ = ["folder"]  # a fixture
GLOO = "[/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:5"
WORKER = "DataLoader worker (pid 31) is killed by signal: Killed. "
IN_WORKER = (
    "Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most"
    ' recent call last):\n  File "a.py", line 1, in f\nFileNotFoundError: [Errno 2] No'
    " such file or directory: 'data/a.png'\n"
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "full", "a.ckpt"),
            "a.ckpt cannot be used: No space left on device; free space on the disk, or"
            " give a folder on another one",
        ),
        (OSError(errno.EROFS, "", "a"), "a cannot be used: Read-only file system; it"),
        (PermissionError(errno.EACCES, "", "a"), "a cannot be used: Permission denied"),
        (OSError(errno.ENOSPC, "full"), "a file cannot be used: No space left"),
        (FileNotFoundError(IN_WORKER), "data/a.png cannot be used: No such file"),
        (
            RuntimeError(WORKER),
            "DataLoader worker (pid 31) is killed by signal: Killed",
        ),
        (RuntimeError(GLOO), "another device of the training was lost: [/gloo/"),
    ],
)
def test_a_fault_of_the_machine_is_one_line(error: Exception, message: str) -> None:
    line = machine_error_message(error)
    assert line is not None
    assert message in line
    assert "\n" not in line


def test_a_fault_is_found_behind_another_error() -> None:
    error = RuntimeError("training failed")
    error.__cause__ = RuntimeError(WORKER)
    assert "lost a worker process" in str(machine_error_message(error))


@pytest.mark.parametrize(
    "error", [OSError("root must be a folder"), RuntimeError("shape"), ValueError("x")]
)
def test_other_errors_have_no_message(error: Exception) -> None:
    assert machine_error_message(error) is None


@pytest.mark.parametrize(("number", "printed"), [(errno.ENOSPC, False), (0, True)])
def test_only_faults_of_the_machine_are_hidden_in_threads(
    number: int, printed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, "full") if number else OSError("other")
    hide_in_threads(threading.ExceptHookArgs((OSError, error, None, None)))
    assert ("other" in capsys.readouterr().err) is printed


def _do_at(step: int, action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Supervised.on_before_zero_grad

    def on_before_zero_grad(self: Any, optimizer: Any) -> None:
        before(self, optimizer)
        if self.global_step == step:
            action()

    monkeypatch.setattr(Supervised, "on_before_zero_grad", on_before_zero_grad)


def test_a_full_disk_keeps_the_old_checkpoint_and_names_the_way_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_the_disk() -> None:
        def save(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(torch, "save", save)

    _do_at(2, fill_the_disk, monkeypatch)
    command = "classmix fit --config fit.yaml"
    status, _, errors = run(command, monkeypatch, capsys)
    assert status == 1
    checkpoints = folder / "lightning_logs/version_0/checkpoints"
    (kept,) = {errors.split("last checkpoint: ")[1].split(";")[0]}
    line = errors.splitlines()[-1]
    assert line.startswith(f"classmix: error: {checkpoints}/")
    assert "No space left on device" in line
    assert line.endswith(f"continue with: {command} --ckpt_path {kept}")
    assert torch.load(kept, weights_only=True)["global_step"] == 2
    assert not list(checkpoints.glob("*.part"))


def test_a_file_deleted_while_training_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def delete() -> None:
        for path in Path("data/images").iterdir():
            path.unlink()

    _do_at(1, delete, monkeypatch)
    status, _, errors = run("classmix fit --config fit.yaml", monkeypatch, capsys)
    assert status == 1
    line = errors.splitlines()[-1]
    assert line.startswith("classmix: error: data/images/")
    assert "No such file or directory; it was moved or deleted; restore it" in line


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_predictions_on_a_full_disk_are_counted_and_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("classmix fit --config fit.yaml --trainer.max_steps 1", monkeypatch, capsys)
    (checkpoint,) = Path("lightning_logs/version_0/checkpoints").glob("last.ckpt")
    labels = folder / "images" / "labels"
    labels.mkdir(parents=True)
    (labels / ".u3.png.part").symlink_to("/dev/full")
    command = f"classmix predict-images data/unlabeled --ckpt_path {checkpoint}"
    status, _, errors = run(f"{command} --out images", monkeypatch, capsys)
    assert status == 1
    assert errors.splitlines()[-1] == (
        "classmix: error: images/labels/u3.png cannot be used: No space left on device;"
        " free space on the disk, or give a folder on another one;"
        " 3 predictions: images"
    )
    names = sorted(path.name for path in Path("images/labels").iterdir())
    assert names == ["u0.png", "u1.png", "u2.png"]
