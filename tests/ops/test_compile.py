"""The operations of a mixing step as one function under ``torch.compile``."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from lightning_classmix import ops

CLASSES = 5
SHAPES = [(2 + i % 3, 8 + 3 * i, 40 - 2 * i) for i in range(10)]  # (B, H, W)


def mixing_step(logits: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Label, mask, mix and weight a batch, as `ClassMix` does."""
    confidence, label = ops.pseudo_label(logits)
    mask = ops.classmix_mask(label, CLASSES)
    mixed, target = ops.mix(image, mask), ops.mix(label, mask)
    weight = ops.pixel_weight(
        ops.mix(confidence, mask), "confident_share", valid=target != ops.VOID
    )
    return mixed, target, mask, weight


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_mixing_step_compiles_at_most_twice_for_ten_shapes(
    dynamic: bool | None,
) -> None:
    torch.compiler.reset()
    counter: Any = CompileCounter()
    compiled: Callable[..., Any] = torch.compile(
        mixing_step, backend=counter, fullgraph=True, dynamic=dynamic
    )
    for batch, height, width in SHAPES:
        logits = torch.randn(batch, CLASSES, height, width)
        image = torch.randn(batch, 3, height, width)
        torch.manual_seed(0)
        results = compiled(logits, image)
        torch.manual_seed(0)
        expected = mixing_step(logits, image)
        for result, real in zip(results, expected, strict=True):
            torch.testing.assert_close(result, real)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("compiled", [False, True])
def test_pseudo_label_treats_infinite_and_nan_logits_as_softmax_does(
    compiled: bool,
) -> None:
    inf, nan = torch.inf, torch.nan
    rows = [[1, inf, 2], [1, nan, 2], [-inf, -inf, -inf], [-inf, 3, 1], [inf, 1, inf]]
    logits = torch.tensor(rows).mT.reshape(1, 3, 1, 5)
    op = ops.pseudo_label
    if compiled:
        torch.compiler.reset()
        op = torch.compile(op, fullgraph=True, backend="eager")
    confidence, label = op(logits)
    probability, index = logits.softmax(1).max(1)
    torch.testing.assert_close(confidence, probability, equal_nan=True)
    assert torch.equal(label, index)
    assert confidence.isnan().flatten().tolist() == [True, True, True, False, True]
