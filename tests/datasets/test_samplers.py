from collections import Counter

import pytest
import torch
from torch.utils.data import DistributedSampler

from lightning_classmix.datasets.samplers import UnpaddedDistributedSampler
from lightning_classmix.ops import derive_seed
from tests.tiny import IndexDataset, shuffle_sampler


def test_a_pass_shows_every_item_once() -> None:
    positions = list(shuffle_sampler(7, 21))
    for number in range(3):
        part = positions[7 * number : 7 * number + 7]
        assert {index for index, _ in part} == set(range(7))
        assert {pass_ for _, pass_ in part} == {number}


def test_every_pass_is_shuffled_anew() -> None:
    positions = list(shuffle_sampler(50, 100))
    first, second = ([index for index, _ in positions[i : i + 50]] for i in (0, 50))
    assert first != second
    assert first != sorted(first)


def test_an_epoch_continues_where_the_last_epoch_ended() -> None:
    epochs = [
        position for epoch in range(3) for position in shuffle_sampler(7, 5, epoch)
    ]
    assert epochs == list(shuffle_sampler(7, 15))


def test_ranks_share_a_pass_without_overlap() -> None:
    ranks = [list(shuffle_sampler(8, 4, num_replicas=2, rank=rank)) for rank in (0, 1)]
    assert Counter(index for rank in ranks for index, _ in rank) == Counter(range(8))


def test_seed_decides_the_order() -> None:
    assert list(shuffle_sampler(9, 9)) == list(shuffle_sampler(9, 9))
    assert list(shuffle_sampler(9, 9)) != list(shuffle_sampler(9, 9, seed=1))


def test_length_is_finite() -> None:
    assert len(shuffle_sampler(3, 100)) == 100


@pytest.mark.parametrize(("count", "ranks"), [(7, 2), (7, 3), (3, 3), (8, 2)])
def test_ranks_evaluate_every_item_once_in_order(count: int, ranks: int) -> None:
    dataset = IndexDataset(count)
    samplers = [
        UnpaddedDistributedSampler(dataset, num_replicas=ranks, rank=rank)
        for rank in range(ranks)
    ]
    shares = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares]
    assert sorted(index for share in shares for index in share) == list(range(count))
    assert all(share == sorted(share) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert list(samplers[0]) == shares[0]  # every validation iterates again


def test_fewer_items_than_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="an image for each of 3 devices, got 2"):
        UnpaddedDistributedSampler(IndexDataset(2), num_replicas=3, rank=0)


def test_items_before_the_start_are_skipped() -> None:
    sampler = shuffle_sampler(4, 9, epoch=2)
    whole = list(sampler)
    sampler.start = 7
    assert list(sampler) == whole[7:]
    assert len(sampler) == 9


def test_every_pass_of_every_rank_is_a_permutation_of_its_own_seed() -> None:
    for rank in (0, 1):
        for index, number in shuffle_sampler(5, 20, seed=3, num_replicas=2, rank=rank):
            generator = torch.Generator().manual_seed(derive_seed(3, number))
            assert index in torch.randperm(5, generator=generator)
    generator = torch.Generator().manual_seed(derive_seed(3, 0))
    expected = torch.randperm(5, generator=generator).tolist()
    assert [index for index, _ in shuffle_sampler(5, 5, seed=3)] == expected


def test_lightning_replaces_none_of_the_samplers() -> None:
    samplers = [shuffle_sampler(3, 3)]
    samplers.append(
        UnpaddedDistributedSampler(IndexDataset(3), num_replicas=1, rank=0)  # type: ignore[arg-type]
    )
    assert all(isinstance(each, DistributedSampler) for each in samplers)


def test_every_rank_needs_an_item() -> None:
    with pytest.raises(ValueError, match="an image for each of 2 devices, got 1"):
        UnpaddedDistributedSampler(IndexDataset(1), num_replicas=2, rank=1)
    UnpaddedDistributedSampler(IndexDataset(2), num_replicas=2, rank=1)
