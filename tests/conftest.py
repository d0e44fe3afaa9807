"""Settings of all tests."""

import gc

import pytest

# Imports create hundreds of thousands of objects that live to the end. The garbage
# collector would examine them again and again, for a tenth of the time of the suite.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector examine the objects of the tests only."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    """Compute on one thread: more threads do not speed up small tensors."""
    # Imported here: the process that only distributes the tests does not need it.
    import torch

    torch.set_num_threads(1)
