import os
import signal
import subprocess
import threading
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from lightning_classmix.datamodules import loaders
from lightning_classmix.datamodules.loaders import (
    ResumableLoader,
    collate,
    evaluation_loader,
    start_worker,
    training_loader,
)
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


class Images(Dataset[Any]):
    """Images whose pixels are their index, with what their worker process does."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Any) -> dict[str, Any]:
        index, _ = key if isinstance(key, tuple) else (key, 0)
        stops = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
        others = [t for t in threading.enumerate() if t is not threading.main_thread()]
        return {
            "image": torch.full((1, 2, 2), float(index)),
            "index": index,
            "ignored": [signal.getsignal(s) == signal.SIG_IGN for s in stops],
            "daemons": all(thread.daemon for thread in others),
            "pid": os.getpid(),
            "seeded": len(SEEDED),
        }


SEEDED: list[int] = []
"""Numbers of the workers that were seeded in this process."""


def indices(loader: DataLoader[Any]) -> list[list[int]]:
    return [batch["index"].tolist() for batch in loader]


def test_a_training_loader_yields_the_shuffled_batches_of_its_rank() -> None:
    view: Any = Images(5)
    for rank in (0, 1):
        options: dict[str, Any] = {"seed": 3, "devices": 2, "rank": rank}
        loader = training_loader(view, steps=4, batch_size=3, num_workers=0, **options)
        assert isinstance(loader, ResumableLoader)
        sampler = shuffle_sampler(5, 12, seed=3, num_replicas=2, rank=rank)
        order = [index for index, _ in sampler]
        assert indices(loader) == [order[i : i + 3] for i in range(0, 12, 3)]
        assert len(loader) == 4


def test_an_evaluation_loader_yields_each_image_once_in_order() -> None:
    loader = evaluation_loader(Images(5), batch_size=2, num_workers=0)
    assert indices(loader) == [[0, 1], [2, 3], [4]]
    ranks = [
        evaluation_loader(Images(5), batch_size=2, num_workers=0, devices=2, rank=rank)
        for rank in (0, 1)
    ]
    assert [indices(each) for each in ranks] == [[[0, 2], [4]], [[1, 3]]]
    # Lightning distributes a loader without a sampler itself, and refuses others.
    assert isinstance(loader.sampler, SequentialSampler)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pin_memory", [False, True])
def test_workers_stay_between_epochs_and_memory_is_pinned_on_request(
    workers: int, pin_memory: bool
) -> None:
    view: Any = Images(4)
    options: dict[str, Any] = {"batch_size": 2, "num_workers": workers}
    for pinned in ({}, {"pin_memory": pin_memory}):
        for loader in (
            training_loader(view, steps=1, seed=0, **options, **pinned),
            evaluation_loader(view, **options, **pinned),
        ):
            assert loader.num_workers == workers
            assert loader.persistent_workers is (workers > 0)
            assert loader.pin_memory is pinned.get("pin_memory", False)
            assert loader.collate_fn is collate
            assert loader.worker_init_fn is start_worker


def test_a_worker_ends_on_sigterm_of_the_main_process_only() -> None:
    loader = evaluation_loader(Images(40), batch_size=1, num_workers=1)
    batches: Any = iter(loader)
    first = next(batches)
    assert [bool(ignored) for ignored in first["ignored"]] == [True] * 4
    assert first["daemons"]
    (worker,) = batches._workers
    assert first["pid"] == worker.pid
    subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    assert len(list(batches)) == 39
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(10)
    assert worker.exitcode == 0
    batches._workers_status[0] = False  # or the end of the loader waits for it


@pytest.mark.parametrize(("value", "seeded"), [("1", 1), ("0", 0), (None, 0)])
def test_workers_are_seeded_as_lightning_asks(
    value: str | None, seeded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    if value is not None:
        monkeypatch.setenv("PL_SEED_WORKERS", value)
    monkeypatch.setattr(loaders, "pl_worker_init_function", SEEDED.append)
    loader = evaluation_loader(Images(1), batch_size=1, num_workers=1)
    assert int(next(iter(loader))["seeded"]) == seeded
    assert SEEDED == []


def test_a_loader_without_batches_goes_on_behind_its_items() -> None:
    def make() -> ResumableLoader:
        return ResumableLoader(
            dataset=IndexDataset(5), sampler=shuffle_sampler(5, 4), batch_size=None
        )

    whole = [item.tolist() for item in make()]
    resumed = make()
    resumed.load_state_dict({"epoch": 0, "consumed": 3})
    assert [item.tolist() for item in resumed] == whole[3:]


def test_a_loader_with_another_sampler_counts_its_batches() -> None:
    loader = ResumableLoader(dataset=IndexDataset(4), batch_size=2)
    assert loader.state_dict() == {"epoch": 0, "consumed": 0}
    for _ in range(2):
        assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]
        assert loader.state_dict() == {"epoch": 0, "consumed": 2}


def test_the_position_names_the_epoch() -> None:
    loader = ResumableLoader(
        dataset=IndexDataset(4), sampler=shuffle_sampler(4, 4, epoch=3), batch_size=2
    )
    list(loader)
    assert loader.state_dict() == {"epoch": 3, "consumed": 2}
