"""Keep the running statistics of batch norm while a network is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def kept_running_statistics(network: nn.Module, keep: bool = True) -> Iterator[None]:
    """Leave the running statistics of batch norm unchanged inside a ``with`` block.

    In train mode, batches are normalized with their own statistics, as always.

    Args:
        network: Network with any number of batch norm layers.
        keep: False to update them as usual.
    """
    layers = [
        layer
        for layer in network.modules()
        if keep
        and isinstance(layer, _BatchNorm)
        and layer.training
        and layer.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
