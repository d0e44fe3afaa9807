from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from lightning_classmix.data.sampling import PassSampler, ResumableLoader


class Places(Dataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: tuple[int, int]) -> Any:  # noqa: ANN401
        return torch.tensor(place)


def sampler(count: int, length: int, epoch: int = 0, **options: int) -> PassSampler:
    made = PassSampler(Places(count), length=length, **{"seed": 0, **options})
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


def loader(workers: int = 0) -> ResumableLoader:
    return ResumableLoader(
        dataset=Places(10),
        sampler=sampler(10, 8),
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_behind_the_batches_that_were_consumed(workers: int) -> None:
    whole = [batch.tolist() for batch in loader()]
    first = loader(workers)
    batches = iter(first)
    next(batches)
    next(batches)
    state = first.state_dict()
    assert state == {"epoch": 0, "consumed": 2}

    resumed = loader(workers)
    resumed.load_state_dict(state)
    assert [batch.tolist() for batch in resumed] == whole[2:]
    assert resumed.state_dict()["consumed"] == 4
    assert [batch.tolist() for batch in resumed] == whole


def test_a_place_in_a_finished_epoch_does_not_shorten_the_next() -> None:
    resumed = loader()
    resumed.load_state_dict({"epoch": 0, "consumed": 4})
    resumed.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert len(list(resumed)) == 4
