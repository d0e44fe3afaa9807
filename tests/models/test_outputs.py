from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_classmix.models.outputs import auxiliary_logits, extract_logits


def values(classes: int = 5, fill: float = 0.0) -> Tensor:
    return torch.full((2, classes, 4, 4), fill)


@pytest.mark.parametrize(
    "output",
    [
        values(fill=1.0),
        {"out": values(fill=1.0), "aux": values()},
        {"logits": values(fill=1.0), "hidden_states": (values(),)},
        (values(fill=1.0), values()),
        [values(fill=1.0)],
    ],
    ids=["tensor", "out", "logits", "tuple", "list"],
)
def test_logits_are_found_in_every_kind_of_output(output: Any) -> None:
    assert (extract_logits(output) == 1).all()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"masks": values()}, "got dict with keys masks$"),
        ({"class_queries_logits": 0, "masks_queries_logits": 0}, r"docs/networks\.md"),
        ((), "got tuple of none"),
        ([torch.zeros(3), values()], "got list of Tensor, Tensor"),
        (torch.zeros(2, 5), r"got a tensor of shape \(2, 5\)"),
        (None, "got NoneType"),
    ],
)
def test_an_output_without_logits_is_refused(output: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        extract_logits(output)


@pytest.mark.parametrize(
    ("output", "count"),
    [
        ({"out": values(), "aux": values()}, 1),
        ({"logits": values(), "auxiliary_logits": [values(), values()]}, 2),
        ((values(), values(), "hidden"), 1),
    ],
)
def test_auxiliary_logits_are_found(output: Any, count: int) -> None:
    assert len(auxiliary_logits(output, 5)) == count


@pytest.mark.parametrize("output", [values(), {"out": values()}, (values(),)])
def test_an_output_without_auxiliary_logits_is_refused(output: Any) -> None:
    with pytest.raises(ValueError, match="aux_weight must be 0 for a network without"):
        auxiliary_logits(output, 5)


def test_auxiliary_logits_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 5, H, W\), got .* \(2, 64, 4, 4\)"):
        auxiliary_logits((values(), values(64)), 5)
