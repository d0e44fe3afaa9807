from collections import Counter
from typing import Any

import torch
from torch.utils.data import Dataset

from lightning_classmix.datasets.samplers import InfiniteShuffleSampler


class Places(Dataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: tuple[int, int]) -> Any:
        return torch.tensor(place)


def sampler(
    count: int, length: int, epoch: int = 0, **options: int
) -> InfiniteShuffleSampler:
    made = InfiniteShuffleSampler(
        Places(count), length=length, **{"seed": 0, **options}
    )
    made.set_epoch(epoch)
    return made


def test_a_pass_shows_every_item_once() -> None:
    places = list(sampler(7, 21))
    for number in range(3):
        part = places[7 * number : 7 * number + 7]
        assert {index for index, _ in part} == set(range(7))
        assert {pass_ for _, pass_ in part} == {number}


def test_every_pass_is_shuffled_anew() -> None:
    places = list(sampler(50, 100))
    first, second = ([index for index, _ in places[i : i + 50]] for i in (0, 50))
    assert first != second
    assert first != sorted(first)


def test_an_epoch_goes_on_where_the_last_one_ended() -> None:
    epochs = [place for epoch in range(3) for place in sampler(7, 5, epoch)]
    assert epochs == list(sampler(7, 15))


def test_ranks_share_a_pass_without_overlap() -> None:
    ranks = [list(sampler(8, 4, num_replicas=2, rank=rank)) for rank in (0, 1)]
    assert Counter(index for rank in ranks for index, _ in rank) == Counter(range(8))


def test_seed_decides_the_order() -> None:
    assert list(sampler(9, 9)) == list(sampler(9, 9))
    assert list(sampler(9, 9)) != list(sampler(9, 9, seed=1))


def test_length_is_finite() -> None:
    assert len(sampler(3, 100)) == 100
