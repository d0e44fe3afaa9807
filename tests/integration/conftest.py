"""Fixtures of the integration tests."""

import pytest
import torch

from tests import tiny

ACCELERATORS = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=ACCELERATORS)
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with `tiny.trainer` on the CPU, and again on a GPU if there is one."""
    monkeypatch.setattr(tiny, "ACCELERATOR", request.param)
    return str(request.param)
