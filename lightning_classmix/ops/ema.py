"""Exponential moving average of parameters, which makes the teacher."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 2**20
"""Number of elements of a large tensor that are averaged at once on the CPU."""


def ema_decay(step: int, limit: float) -> float:
    """Return the decay of the moving average at one update.

    Update 0 copies the student; the limit is reached at ``1 / (1 - limit)``
    updates, so that the random initial weights are soon forgotten.

    Args:
        step: Number of earlier updates, from 0.
        limit: Largest decay, reached after the first updates, in [0, 1).

    Returns:
        Decay: the share of the old average in the new one, in [0, ``limit``].

    Example:
        >>> [ema_decay(step, 0.99) for step in (0, 1, 3, 1000)]
        [0.0, 0.5, 0.75, 0.99]

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), their code's
        ``update_ema_variables``; the authors of ClassMix use the same.
    """
    return min(1 - 1 / (step + 1), limit)


@torch.no_grad()
def ema_update_(
    averages: Sequence[Tensor], values: Sequence[Tensor], decay: float
) -> None:
    """Update averages in place: ``average = decay * average + (1 - decay) * value``.

    Elements whose value is not finite keep their average: otherwise one overflow in
    half precision would make the average infinite for the rest of the run.

    Args:
        averages: Tensors to update, any float dtypes and any shapes.
        values: New values, of the shapes of ``averages``, any float dtypes.
        decay: Share of the old average, in [0, 1).

    Example:
        >>> average = torch.tensor([0.0, 1.0])
        >>> ema_update_([average], [torch.tensor([1.0, torch.nan])], decay=0.75)
        >>> average
        tensor([0.2500, 1.0000])

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), eq. 2.
    """
    if not averages:
        return
    # Convert before the test for finite values: a narrower dtype may overflow.
    pairs = [
        (average, value.to(average.dtype))
        for average, value in zip(averages, values, strict=True)
    ]
    if decay == 0:  # an exact copy, without rounding
        finite = [value.where(value.isfinite(), average) for average, value in pairs]
        torch._foreach_copy_(list(averages), finite)
        return
    if all(average.device.type == "cpu" for average, _ in pairs):
        # In blocks that stay in the cache; a foreach call does not.
        for average, value in pairs:
            for old, new in zip(_blocks(average), _blocks(value), strict=True):
                _update_block_(old, new, decay)
        return
    moves = [_finite_move(average, value) for average, value in pairs]
    torch._foreach_add_(list(averages), moves, alpha=1 - decay)


def _update_block_(average: Tensor, value: Tensor, decay: float) -> None:
    """Update an average on the CPU, with a faster operation if all values are finite.

    The sum of values that are not all finite is not finite; it takes a fraction of the
    time of testing each. ``lerp_`` rounds as the other branch does for large decays.
    """
    narrow = average.dtype.itemsize < 4
    fast = decay > 0.5 and not narrow and not torch.compiler.is_compiling()
    # On the CPU, to read the sum as a number waits for nothing.
    if fast and math.isfinite(value.sum()):
        average.lerp_(value, 1 - decay)
    else:
        average.add_(_finite_move(average, value), alpha=1 - decay)


def _finite_move(average: Tensor, value: Tensor) -> Tensor:
    """Return ``value - average``, 0 where it is not finite."""
    return (value - average).nan_to_num_(0.0, 0.0, 0.0)


def _blocks(tensor: Tensor) -> Sequence[Tensor]:
    """Split a large tensor along its first axis into blocks of about `_BLOCK`."""
    if tensor.numel() <= _BLOCK:
        return [tensor]
    return torch.split(tensor, max(1, _BLOCK * len(tensor) // tensor.numel()))
