import os
import subprocess
import sys

import pytest

from lightning_classmix.cli.console import print_line, printable

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
