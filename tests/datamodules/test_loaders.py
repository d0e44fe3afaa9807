import pytest
import torch

from lightning_classmix.datamodules.loaders import ResumableLoader, collate
from tests.tiny import IndexDataset, shuffle_sampler


def test_images_of_different_sizes_are_an_error_with_the_remedy() -> None:
    items = [{"image": torch.zeros(3, 4, side)} for side in (6, 5)]
    with pytest.raises(ValueError, match=r"images .* 4 x 5, 4 x 6; set crop or size"):
        collate(items)


def test_labels_of_different_sizes_are_an_error_with_the_remedy() -> None:
    items = [
        {"image": torch.zeros(3, 4, 4), "label": torch.zeros(4, side)}
        for side in (6, 5)
    ]
    with pytest.raises(ValueError, match=r"labels .* val_batch_size=1"):
        collate(items)


def test_items_of_equal_size_are_stacked() -> None:
    items = [{"image": torch.full((3, 4, 4), float(i)), "name": str(i)} for i in (1, 2)]
    batch = collate(items)
    assert batch["image"].shape == (2, 3, 4, 4)
    assert batch["name"] == ["1", "2"]


def loader(workers: int = 0) -> ResumableLoader:
    return ResumableLoader(
        dataset=IndexDataset(10),
        sampler=shuffle_sampler(10, 8),
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


def test_a_position_in_a_finished_epoch_does_not_shorten_the_next() -> None:
    resumed = loader()
    resumed.load_state_dict({"epoch": 0, "consumed": 4})
    resumed.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert len(list(resumed)) == 4
