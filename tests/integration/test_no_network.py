"""Commands open no connection, unless weights or data are to be downloaded."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.images import make_folder
from tests.shell import CONV, FIT, Shell


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuse every connection and name resolution; return those that were tried."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("the network is blocked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


@pytest.mark.slow
def test_commands_need_no_network(
    requests: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_folder(tmp_path / "data")
    shell = Shell(tmp_path, monkeypatch, capsys)
    network = json.dumps({"class_path": "torch.nn.Conv2d", "init_args": CONV})
    checkpoint = ["--ckpt_path", "last", "--model.network", network]
    for line, more in (
        (FIT, []),
        ("validate --trainer.accelerator cpu", checkpoint),
        ("predict --data.predict data/unlabeled --trainer.accelerator cpu", checkpoint),
        ("check --config recipe.yaml --data.root data", []),
        ("demo --steps 2", []),
    ):
        status, _, errors = shell(line, *more)
        assert status == 0, errors
    assert not requests


def test_the_fixture_refuses_connections(requests: list[Any]) -> None:
    with pytest.raises(OSError, match="blocked"):
        socket.create_connection(("localhost", 80))
    assert len(requests) == 1
