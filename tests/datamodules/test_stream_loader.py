"""Streams of unlabeled images: shards, seeds, epochs and resumed runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from torch.utils.data import IterableDataset

from lightning_classmix import ClassMix, SemiSupervisedDataModule, Supervised
from lightning_classmix.datasets.streams import StreamView
from lightning_classmix.datasets.transforms import Transform, training_pipeline
from tests import tiny

COUNT = 16
OPTIONS: dict[str, Any] = {"seed": 0, "batch_size": 2}


def images(count: int = COUNT) -> list[Any]:
    """Make uint8 images of one value each, from which an item is recognized."""
    return [np.full((8, 8, 3), 10 * index, np.uint8) for index in range(count)]


class Stream(IterableDataset[Any]):
    def __init__(self, count: int = COUNT) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        yield from images(self.count)


def view(source: Any, workers: int = 0, **options: Any) -> StreamView:
    transform = Transform(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return StreamView(source, transform, num_workers=workers, **OPTIONS, **options)


def data(source: Any, **options: Any) -> SemiSupervisedDataModule:
    labels = np.zeros((8, 8), np.uint8)
    pairs = [(image, labels) for image in images(4)]
    plain = {"flip": False, "jitter": 0.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    options = {"steps_per_epoch": 3, "batch_size": 2, **plain, **options}
    return SemiSupervisedDataModule(pairs, source, **options)


def values(batches: Any) -> list[int]:
    """Return the value of each image, in units of the index."""
    pixels = [batch["image"][:, 0, 0, 0] for batch in batches]
    return [round(255 * value / 10) for part in pixels for value in part.tolist()]


def epochs(source: Any, count: int, **options: Any) -> tuple[list[list[int]], Any]:
    module = data(source, **options)
    module.setup("fit")
    loader: Any = module.train_dataloader().iterables
    unlabeled = loader["unlabeled"]
    result = []
    for epoch in range(count):
        unlabeled.sampler.set_epoch(epoch)
        result.append(values(unlabeled))
    return result, unlabeled


def joined(parts: list[list[int]]) -> list[int]:
    return [value for part in parts for value in part]


def test_an_epoch_continues_where_the_last_one_ended() -> None:
    read, loader = epochs(Stream(), 3)
    assert len(loader) == 3
    assert joined(read) == [*range(16), 0, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_read_each_item_once_in_a_pass(workers: int) -> None:
    read, _ = epochs(Stream(), 2, num_workers=workers, steps_per_epoch=4)
    assert sorted(joined(read)) == [*range(16)]


def test_ranks_read_different_items_of_a_pass() -> None:
    parts = []
    for rank in (0, 1):
        stream = iter(view(Stream(), devices=2, rank=rank))
        parts.append(values([{"image": next(stream)["image"][None]} for _ in range(8)]))
    assert parts == [[*range(0, 16, 2)], [*range(1, 16, 2)]]


def test_the_augmentation_depends_on_seed_pass_and_item_alone() -> None:
    pipeline = training_pipeline(
        crop=(4, 4), scale=(0.5, 2.0), flip=True, jitter=0.5, mean=(0.5,) * 3
    )
    noise = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)

    class Noise(Stream):
        def __iter__(self) -> Iterator[Any]:
            yield from noise

    def read(rank: int, devices: int, count: int) -> list[torch.Tensor]:
        stream = iter(
            StreamView(
                Noise(),
                Transform(pipeline, mean=(0.5,) * 3, std=(0.5,) * 3),
                num_workers=0,
                rank=rank,
                devices=devices,
                **OPTIONS,
            )
        )
        return [next(stream)["image"] for _ in range(count)]

    alone = read(0, 1, 8)
    both = [
        image
        for pair in zip(read(0, 2, 4), read(1, 2, 4), strict=True)
        for image in pair
    ]
    assert all(map(torch.equal, alone, both))
    assert not any(map(torch.equal, alone[:4], alone[4:]))


def test_a_stream_without_steps_per_epoch_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"steps_per_epoch must be given .* for Stream"
    ):
        data(Stream(), steps_per_epoch=None).setup("fit")


def test_a_stream_of_labeled_images_is_refused() -> None:
    labeled: Any = Stream()
    module = SemiSupervisedDataModule(labeled, Stream(), steps_per_epoch=2)
    with pytest.raises(ValueError, match=r"labeled must have a length .* Stream"):
        module.setup("fit")


def test_an_empty_stream_ends_in_an_error() -> None:
    with pytest.raises(ValueError, match="unlabeled must yield an image in each"):
        epochs(Stream(0), 1)


@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_a_fit_trains_on_a_stream(method: type[Supervised]) -> None:
    module = method(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_epochs=2, max_steps=-1)
    trainer.fit(module, data(Stream()))
    assert trainer.global_step == 6


def test_a_resumed_plain_stream_begins_a_new_pass_with_a_warning() -> None:
    _, loader = epochs(Stream(), 1)
    _, other = epochs(Stream(), 0)
    with pytest.warns(UserWarning, match="begins a new pass"):
        other.load_state_dict(loader.state_dict())
    assert other.view.first_pass == 1
    other.sampler.set_epoch(1)
    assert values(other) == [*range(6)]


litdata = pytest.importorskip("litdata")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a dataset of litdata, in chunks of four images."""
    path = str(tmp_path_factory.mktemp("lit"))
    writer = litdata.streaming.writer.BinaryWriter(path, chunk_size=4)
    for index, image in enumerate(images()):
        writer[index] = image
    writer.done()
    writer.merge()
    return path


def lit(folder: str, **options: Any) -> Any:
    return litdata.StreamingDataset(folder, **options)


@pytest.mark.parametrize("workers", [0, 2])
def test_litdata_yields_each_item_once_in_a_pass(folder: str, workers: int) -> None:
    read, _ = epochs(lit(folder), 2, num_workers=workers, steps_per_epoch=4)
    assert sorted(joined(read)) == [*range(16)]


def test_litdata_shuffles_each_pass_anew(folder: str) -> None:
    read, _ = epochs(lit(folder, shuffle=True), 2, steps_per_epoch=8)
    assert sorted(read[0]) == sorted(read[1]) == [*range(16)]
    assert read[0] != read[1]


@pytest.mark.parametrize(
    ("workers", "consumed", "size"), [(0, 3, 2), (0, 9, 2), (2, 3, 2), (2, 7, 3)]
)
def test_litdata_continues_at_the_place_of_a_checkpoint(
    folder: str, workers: int, consumed: int, size: int
) -> None:
    options = {
        "num_workers": workers,
        "steps_per_epoch": 6,
        "unlabeled_batch_size": size,
    }
    whole = joined(epochs(lit(folder, shuffle=True), 3, **options)[0])
    _, loader = epochs(lit(folder, shuffle=True), 0, **options)
    for index in range(consumed):
        if index % 6 == 0:
            loader.set_epoch(index // 6)
            batches = iter(loader)
        next(batches)
    state = loader.state_dict()
    _, resumed = epochs(lit(folder, shuffle=True), 0, **options)
    resumed.load_state_dict(state)
    read: list[int] = []
    for epoch in range(consumed // 6, 3):
        resumed.set_epoch(epoch)
        read += values(resumed)
    assert read == whole[size * consumed :]


def test_litdata_with_other_workers_begins_a_new_pass(folder: str) -> None:
    _, loader = epochs(lit(folder), 1)
    _, resumed = epochs(lit(folder), 0, num_workers=2)
    with pytest.warns(UserWarning, match="begins a new pass"):
        resumed.load_state_dict(loader.state_dict())
    assert resumed.view.first_pass == 1


def test_litdata_with_too_few_images_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="one batch for each worker process"):
        epochs(lit(folder), 0, unlabeled_batch_size=9, num_workers=2)


@pytest.mark.forks
@pytest.mark.slow
def test_two_processes_read_a_litdata_pass_without_repeats(
    folder: str, tmp_path: Path
) -> None:
    seed_everything(0, verbose=False)
    module = Recorder(tiny.CLASSES, network=tiny.network(), labeled_only_steps=99)
    module.folder = tmp_path
    trainer = tiny.trainer(devices=2, strategy="ddp_fork", max_epochs=1, max_steps=-1)
    trainer.fit(module, data(lit(folder), steps_per_epoch=4))
    read = [np.load(tmp_path / f"{rank}.npy").tolist() for rank in (0, 1)]
    assert [len(part) for part in read] == [8, 8]
    assert sorted(joined(read)) == [*range(16)]


class Recorder(ClassMix):
    """Write the values of all unlabeled images of a rank to a file."""

    folder: Path

    def on_train_start(self) -> None:
        super().on_train_start()
        self.seen: list[int] = []

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen += values([batch["unlabeled"]])
        np.save(self.folder / f"{self.global_rank}.npy", self.seen)
