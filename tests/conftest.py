"""What every test runs under."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread: small tensors gain nothing from more."""
    torch.set_num_threads(1)
