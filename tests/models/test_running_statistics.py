"""Running statistics of batch norm that are kept."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_classmix.models.running_statistics import kept_running_statistics

IMAGE = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def network() -> Any:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4))


def buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.named_buffers()}


def test_statistics_stay_and_outputs_and_gradients_are_those_of_train_mode() -> None:
    kept = network()
    usual = copy.deepcopy(kept)
    before = buffers(kept)
    with kept_running_statistics(kept):
        output = kept(IMAGE)
    expected = usual(IMAGE)
    for result in (output, expected):
        result.square().sum().backward()
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
    torch.testing.assert_close(kept[0].weight.grad, usual[0].weight.grad)
    torch.testing.assert_close(buffers(kept), before, rtol=0, atol=0)
    assert not torch.equal(usual[1].running_mean, before["1.running_mean"])


def test_statistics_are_updated_if_they_are_not_to_be_kept() -> None:
    module = network()
    with kept_running_statistics(module, keep=False):
        module(IMAGE)
    assert int(module[1].num_batches_tracked) == 1


def test_statistics_are_updated_again_after_the_block_and_after_an_error() -> None:
    module = network()
    with pytest.raises(RuntimeError), kept_running_statistics(module):
        module(torch.zeros(1, 7, 2, 2))
    module(IMAGE)
    assert [int(norm.num_batches_tracked) for norm in module[1:]] == [1, 1]


def test_a_layer_in_eval_mode_normalizes_with_its_running_statistics() -> None:
    module = network()
    module[1].eval()
    expected = copy.deepcopy(module)(IMAGE)
    with kept_running_statistics(module):
        torch.testing.assert_close(module(IMAGE), expected, rtol=0, atol=0)


def test_a_layer_without_running_statistics_stays_without() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    with kept_running_statistics(module):
        module(IMAGE)
    assert not module[0].track_running_stats
