"""The exponential moving average that makes the teacher."""

from collections.abc import Sequence

import torch
from torch import Tensor


def ema_decay(step: int, limit: float) -> float:
    """Return the decay of the moving average at one update.

    The first update copies the student; the limit is reached at ``1 / (1 - limit)``
    updates, so that the random first weights are soon forgotten.

    Args:
        step: Number of the update, from 0.
        limit: Largest decay, in [0, 1).

    Returns:
        Share of the past in the average, in [0, ``limit``].

    Example:
        >>> [ema_decay(step, 0.99) for step in (0, 1, 3, 1000)]
        [0.0, 0.5, 0.75, 0.99]

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), their code's
        ``update_ema_variables``; ClassMix keeps it.
    """
    return min(1 - 1 / (step + 1), limit)


@torch.no_grad()
def ema_update_(
    averages: Sequence[Tensor], values: Sequence[Tensor], decay: float
) -> None:
    """Move each average towards its value: ``a = decay * a + (1 - decay) * v``.

    Values that are not finite move nothing: one overflow in half precision must not
    poison the average for good.

    Args:
        averages: Tensors to update, float of any one width and shape each.
        values: The new values, of the same shapes, float of any width.
        decay: Share of the past, in [0, 1).

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
    # What is finite is asked once converted: a narrower average may overflow.
    pairs = [
        (average, value.to(average.dtype))
        for average, value in zip(averages, values, strict=True)
    ]
    if decay == 0:  # a copy, to the last bit
        finite = [value.where(value.isfinite(), average) for average, value in pairs]
        torch._foreach_copy_(list(averages), finite)
        return
    # The difference alone is cleaned: a quarter of the time that testing values takes.
    moves = [(value - average).nan_to_num_(0.0, 0.0, 0.0) for average, value in pairs]
    torch._foreach_add_(list(averages), moves, alpha=1 - decay)
