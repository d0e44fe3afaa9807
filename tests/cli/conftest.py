from pathlib import Path

import pytest

from tests.images import make_folder
from tests.shell import Shell


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    make_folder(tmp_path / "data")
    return Shell(tmp_path, monkeypatch, capsys)
