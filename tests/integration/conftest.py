"""What the tests of the Trainer share."""

import pytest
import torch

from tests import tiny

ACCELERATORS = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=ACCELERATORS)
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let `tiny.trainer` use a CPU, and a GPU too where there is one."""
    monkeypatch.setattr(tiny, "ACCELERATOR", request.param)
    return str(request.param)
