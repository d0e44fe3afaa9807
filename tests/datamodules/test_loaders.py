from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from lightning_classmix.datamodules.loaders import ResumableLoader, collate
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


def test_images_of_different_sizes_are_told_with_the_remedy() -> None:
    items = [{"image": torch.zeros(3, 4, side)} for side in (6, 5)]
    with pytest.raises(ValueError, match=r"images .* 4 x 5, 4 x 6; set crop or size"):
        collate(items)


def test_labels_of_different_sizes_are_told_with_the_remedy() -> None:
    items = [
        {"image": torch.zeros(3, 4, 4), "label": torch.zeros(4, side)}
        for side in (6, 5)
    ]
    with pytest.raises(ValueError, match=r"labels .* val_batch_size=1"):
        collate(items)


def test_items_of_one_size_are_stacked() -> None:
    items = [{"image": torch.full((3, 4, 4), float(i)), "name": str(i)} for i in (1, 2)]
    batch = collate(items)
    assert batch["image"].shape == (2, 3, 4, 4)
    assert batch["name"] == ["1", "2"]


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
