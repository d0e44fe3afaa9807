"""A user's bad input ends in one line, with no traceback and nothing half-written."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_input import checkpoints, commands, configs, data_folders, flags
from tests.bad_input.case import Case
from tests.images import make_folder
from tests.shell import RECIPE, Shell

TABLE: list[Case] = [
    *flags.CASES,
    *configs.CASES,
    *checkpoints.CASES,
    *commands.CASES,
    *data_folders.CASES,
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder in which the commands run: ``recipe.yaml`` and ``data``."""
    folder = tmp_path_factory.mktemp("prepared")
    make_folder(folder / "data")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise a TimeoutError in code that hangs."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_table_has_at_least_150_cases_with_different_names() -> None:
    names = [case.name for case in TABLE]
    assert len(names) == len(set(names)) >= 150


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_bad_input_is_one_line(
    case: Case,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    if case.make is not None:
        case.make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with time_limit(120):
        status, out, errors = Shell(tmp_path, monkeypatch, capsys)(case.command)
    assert status > 0
    assert "Traceback" not in errors
    if not case.command.startswith("check "):
        assert errors.splitlines()[-1].startswith("classmix: error: ")
    assert re.search(case.message, out + errors), errors
    assert not Path("ran").exists()
    kept = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert {path for path in before if path.is_file()} <= kept.keys()
