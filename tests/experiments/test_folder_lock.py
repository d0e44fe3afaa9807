import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightning_classmix.experiments.folder_lock import lock_folder
from tests.images import make_folder
from tests.shell import Shell

HOLD = """
import os, sys, time
from pathlib import Path
from lightning_classmix.experiments.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    child = os.fork()
    print(os.getpid(), flush=True)
    time.sleep(60)
"""
IN_USE = "a folder must be used by one process at a time, got another one that works in"


@contextmanager
def holder(folder: Path) -> Iterator[int]:
    """Let a process lock a folder and fork another one; yield the first one's id."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            {process.stdout.readline(), process.stdout.readline()}  # both have started
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_is_locked_until_its_process_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with holder(folder) as process:
        with pytest.raises(ValueError, match=f"{IN_USE} {folder}"), lock_folder(folder):
            pass
        os.kill(process, signal.SIGKILL)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        with lock_folder(folder):  # although the forked process goes on
            pass
    with lock_folder(folder):
        pass


def test_an_error_ends_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_folder(tmp_path):
        raise KeyError
    with holder(tmp_path):
        pass


@pytest.mark.parametrize(
    "command",
    [
        "demo --steps 1",
        "compare --data FolderDataModule --data.root data --labels 2 --steps 1",
    ],
)
def test_a_second_command_in_a_folder_ends_before_its_first_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    make_folder(tmp_path / "data")
    shell = Shell(tmp_path, monkeypatch, capsys)
    with holder(tmp_path / "out"):
        message = shell.fails(f"{command} --out out")
        assert message == (
            f"classmix: error: {IN_USE} out; wait for its end, or give another folder"
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
