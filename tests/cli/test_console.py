import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_classmix.cli.console import print_line, printable
from tests.images import make_folder
from tests.shell import Shell

CHECK = "check --data FolderDataModule --data.root data"
CLASSMIX = [sys.executable, "-m", "lightning_classmix"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("road [paved] ö 車", "road [paved] ö 車"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb\x07\x00", "a\\rb\\x07\\x00"),
        ("a\u202eb", "a\\u202eb"),  # writes the rest from right to left
        ("a\udcffb", "a\\udcffb"),  # a file name that is not UTF-8
        ("a\n\tb", "a\n\tb"),
    ],
)
def test_characters_that_control_a_terminal_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_printed_line_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\x1b[31mb")
    assert capsys.readouterr().out == "a\\x1b[31mb\n"


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_escapes() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    run = subprocess.run(
        [*CLASSMIX, "check", "--config", "straße"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "got 'stra\\xdfe'" in run.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs pipes of POSIX")
@pytest.mark.parametrize("command", [["--help"], ["--version"]])
def test_a_reader_that_ends_first_ends_the_command(command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [*CLASSMIX, *command], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert run.stderr == ""
    assert run.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--help", "the output cannot be written: No space left on device"),
        ("--version", "the output cannot be written: No space left on device"),
        (CHECK, "the output cannot be used: No space left on device; free space"),
        (f"{CHECK} --json", "the output cannot be written: No space left on device"),
    ],
)
def test_a_full_disk_of_the_output_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    message: str,
) -> None:
    make_folder(tmp_path / "data")
    shell = Shell(tmp_path, monkeypatch, capsys)
    full = open("/dev/full", "w")  # noqa: SIM115 # closing it is an error
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        status, _, errors = shell(command)
    os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    full.close()
    assert status == 1
    assert "Traceback" not in errors
    assert f"classmix: error: {message}" in errors.splitlines()[-1]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_output_that_is_closed_at_the_start_is_dropped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stream: str,
) -> None:
    make_folder(tmp_path / "data")
    shell = Shell(tmp_path, monkeypatch, capsys)
    monkeypatch.setattr(sys, stream, None)
    assert shell(CHECK)[0] == 0
    getattr(sys, stream).close()


def test_a_deleted_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path, monkeypatch, capsys)
    (tmp_path / "recipe.yaml").unlink()
    tmp_path.rmdir()
    status, _, errors = shell("--version")
    tmp_path.mkdir()  # pytest removes it
    monkeypatch.undo()
    assert (status, errors) == (1, "classmix: error: the current folder was deleted\n")
