"""Settings of all tests."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    """Compute on one thread: more threads do not speed up small tensors."""
    torch.set_num_threads(1)
