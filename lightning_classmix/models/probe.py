"""Run a network once before training, to find what would go wrong in it later."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.weights import few

_SIDES = (64, 128, 224, 256, 384, 512)
"""Image sides that are tried, in pixels; some networks accept one size only."""


def prepare_for_training(
    student: SegmentationNetwork, in_channels: int, *, auxiliary: bool = False
) -> None:
    """Freeze parameters that the loss does not depend on; check the outputs.

    Such parameters, as those of an auxiliary head without a loss, are an error in
    distributed training. The network is run with random images, once in train and once
    in eval mode; its weights, statistics and the random generators stay as they are. A
    network that accepts none of the sizes that are tried is left as it is.

    Args:
        student: Network that will be trained.
        in_channels: Number of image channels.
        auxiliary: The loss depends on the auxiliary logits too.

    Raises:
        TypeError: If the network does not return logits.
        ValueError: If it returns logits of other classes, or no auxiliary logits.
    """
    with _unchanged(student), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _run_at_some_size(student, in_channels)
        if found is None:
            return
        output, image = found
        logits = student.extract(output, auxiliary=auxiliary)[0].detach().float()
        try:
            used = _used_parameters(student, image, auxiliary)
        except RuntimeError:  # some dtypes have no gradient on the CPU
            return
    unused = {
        name: value
        for name, value in student.network.named_parameters()
        if value.requires_grad and name not in used
    }
    for value in unused.values():
        value.requires_grad_(False)
    if unused:
        rank_zero_info(
            f"{len(unused)} parameters that the loss does not depend on are frozen:"
            f" {few([*unused])}"
        )
    kind = type(student.network).__name__
    if logits.min() >= 0 and (logits.sum(1) - 1).abs().max() < 1e-3:
        rank_zero_warn(
            "network must return logits, got outputs >= 0 whose sum over classes is 1;"
            f" remove the softmax at the end of {kind}"
        )
    if isinstance(output, (tuple, list)) and len(output) > 1:
        rank_zero_info(
            f"{kind} returns a {type(output).__name__} of {len(output)}: its"
            " first element is used as logits"
        )


def _run_at_some_size(
    student: SegmentationNetwork, in_channels: int
) -> tuple[Any, Tensor] | None:
    """Return an output in eval mode and its image; None if no size is accepted."""
    parameter = next(student.parameters(), torch.zeros(()))
    student.eval()
    for side in _SIDES:
        image = torch.randn(2, in_channels, side, side)
        image = student.pad(image.to(parameter.device, parameter.dtype))
        try:
            return student.network(image), image
        except Exception:  # the first step raises it if no size is accepted
            continue
    return None


def _used_parameters(
    student: SegmentationNetwork, image: Tensor, auxiliary: bool
) -> set[str]:
    """Return the names of the parameters that get a gradient in train or eval mode."""
    for mode in (True, False):
        student.train(mode)
        logits, others = student.extract(student.network(image), auxiliary=auxiliary)
        total = sum((other.sum() for other in others), logits.sum())
        if total.requires_grad:
            torch.autograd.backward(total)
    return {
        name
        for name, value in student.network.named_parameters()
        if value.grad is not None
    }


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Restore gradients, buffers, modes and random generators afterwards."""
    gradients = [(value, value.grad) for value in network.parameters()]
    for value, _ in gradients:
        value.grad = None
    buffers = [(value, value.clone()) for value in network.buffers()]
    cuda = {value.device for value in network.parameters() if value.is_cuda}
    with keep_modes(network), torch.random.fork_rng(cuda), torch.enable_grad():
        try:
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, copy in buffers:
                    buffer.copy_(copy)


@contextmanager
def keep_modes(network: nn.Module) -> Iterator[None]:
    """Restore the train or eval mode of every layer afterwards."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
