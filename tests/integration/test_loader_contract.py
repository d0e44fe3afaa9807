"""The loader contract: what the loaders of every data module guarantee."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from PIL import Image
from torch import Tensor

from lightning_classmix import (
    CamVidDataModule,
    CityscapesDataModule,
    FolderDataModule,
    PascalVOCDataModule,
    StreetScenesDataModule,
    ops,
)
from tests.images import make_camvid, make_cityscapes, make_folder, make_voc

Maker = Callable[..., Any]
LABELED, UNLABELED, VAL = 4, 9, 3
SIZE = (20, 28)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    both = LABELED + UNLABELED
    cities = [f"{'ulm' if i % 2 else 'jena'}_{i:06d}_000019" for i in range(both)]
    make_folder(root / "folder", labeled=LABELED, unlabeled=UNLABELED, val=VAL)
    make_camvid(root / "camvid", train=both, val=VAL)
    make_cityscapes(root / "cityscapes", train=cities, val=VAL)
    make_voc(root / "voc", train=LABELED, augmented=UNLABELED, val=VAL)
    return root


KINDS = ["street_scenes", "folder", "camvid", "cityscapes", "voc"]

# All data modules of files have one kind of dataset, which workers receive.
with_workers = pytest.mark.parametrize("make", KINDS[:2], indirect=True)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, root: Path) -> Maker:
    """Return a function that makes a data module of 4 + 9 + 3 images, set up to fit."""
    kinds: dict[str, Maker] = {
        "folder": FolderDataModule,
        "camvid": CamVidDataModule,
        "cityscapes": CityscapesDataModule,
        "voc": PascalVOCDataModule,
    }

    def made(*, seed: int = 0, rank: int = 0, devices: int = 1, **options: Any) -> Any:
        options = {"batch_size": 2, "num_workers": 0, "crop": (16, 16), **options}
        if request.param == "street_scenes":
            options["size"] = (32, 48)
            data: Any = StreetScenesDataModule(
                LABELED, UNLABELED, val=VAL, test=0, **options
            )
        else:
            folder = root / request.param
            options = {"labeled": LABELED, "size": SIZE, **options}
            data = kinds[request.param](folder, **options)
        if devices > 1:
            data.trainer = SimpleNamespace(
                world_size=devices,
                global_rank=rank,
                strategy=SimpleNamespace(
                    broadcast=lambda seed: seed, root_device=torch.device("cpu")
                ),
                loggers=[],
            )
        seed_everything(seed, verbose=False)
        data.setup("fit")
        return data

    return made


PLAIN = {"crop": None, "flip": False, "jitter": 0.0}
"""Options without augmentation, so that an image can be recognized."""


def epochs(data: Any, count: int = 1) -> list[list[Any]]:
    """Return the batches of the first epochs of a loader, as the Trainer reads them."""
    loader = data.train_dataloader()
    result = []
    for epoch in range(count):
        for part in loader.flattened:
            part.sampler.set_epoch(epoch)
        result.append([batch for batch, _, _ in loader])
    return result


def images(batches: list[Any], part: str) -> list[bytes]:
    """Return the bytes of every image of a part of the batches, in order."""
    return [
        image.numpy().tobytes() for batch in batches for image in batch[part]["image"]
    ]


def tensors(batches: list[Any]) -> list[Tensor]:
    return [
        batch[part][key]
        for batch in batches
        for part in sorted(batch)
        for key in sorted(batch[part])
    ]


def same(first: list[Any], second: list[Any]) -> bool:
    """Return whether batches are equal, bit for bit."""
    pairs = zip(tensors(first), tensors(second), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@with_workers
def test_batches_do_not_depend_on_the_number_of_workers(make: Maker) -> None:
    without, with_two = (epochs(make(num_workers=count), 2) for count in (0, 2))
    assert all(same(*pair) for pair in zip(without, with_two, strict=True))


def test_batches_depend_on_the_seed_alone(make: Maker) -> None:
    first, repeated, other_seed = (epochs(make(seed=seed))[0] for seed in (0, 0, 1))
    assert len(first) == UNLABELED // 2
    assert same(first, repeated)
    for part in ("labeled", "unlabeled"):
        assert not {*images(first, part)} & {*images(other_seed, part)}


def test_images_are_augmented_differently_in_every_pass(make: Maker) -> None:
    first, second = epochs(make(), 2)
    for part in ("labeled", "unlabeled"):
        seen = images(first + second, part)
        assert len({*seen}) == len(seen) == 16


def test_images_are_shuffled_differently_in_every_pass(make: Maker) -> None:
    # Two epochs of 18 images are 9 passes over the labeled, 4 over the unlabeled.
    first, second = epochs(make(**PLAIN, steps_per_epoch=9), 2)
    for part, count in (("labeled", LABELED), ("unlabeled", UNLABELED)):
        seen = images(first + second, part)
        assert len(seen) == 36
        passes = [tuple(seen[i : i + count]) for i in range(0, 36, count)]
        assert all({*order} == {*seen} for order in passes)
        assert len({*seen}) == count
        assert len({*passes}) > 1


def test_an_epoch_has_each_unlabeled_image_at_most_once_and_without_label(
    make: Maker,
) -> None:
    data = make(**PLAIN)
    (batches,) = epochs(data)
    seen = images(batches, "unlabeled")
    assert len({*seen}) == len(seen) == UNLABELED // 2 * 2
    assert not {*seen} & {*images(batches, "labeled")}
    for batch in batches:
        assert batch.keys() == {"labeled", "unlabeled"}
        assert batch["labeled"].keys() == {"image", "label"}
        assert batch["unlabeled"].keys() == {"image", "valid"}
        assert batch["unlabeled"]["valid"].dtype == torch.bool


def test_two_ranks_read_disjoint_images_of_a_pass(make: Maker) -> None:
    whole = {*images(epochs(make(**PLAIN))[0], "labeled")}
    assert len(whole) == LABELED
    ranks = [
        epochs(make(**PLAIN, rank=rank, devices=2, steps_per_epoch=9))[0]
        for rank in (0, 1)
    ]
    for part, count in (("labeled", LABELED), ("unlabeled", UNLABELED)):
        streams = [images(batches, part) for batches in ranks]
        stream = [image for pair in zip(*streams, strict=True) for image in pair]
        passes = [stream[i : i + count] for i in range(0, 36, count)]
        assert all(len({*order}) == count for order in passes)
        assert part == "unlabeled" or {*passes[0]} == whole


def test_an_epoch_of_two_ranks_has_half_the_batches(make: Maker) -> None:
    ranks = [epochs(make(rank=rank, devices=2))[0] for rank in (0, 1)]
    assert [len(batches) for batches in ranks] == [UNLABELED // 4] * 2


@with_workers
def test_workers_are_kept_between_epochs(make: Maker) -> None:
    loader = make(num_workers=1).train_dataloader()
    workers = []
    for _ in range(2):
        for _ in loader:
            pass
        workers += [
            [worker.pid for worker in part._iterator._workers]
            for part in loader.flattened
        ]
    assert workers[:2] == workers[2:]
    assert workers[0] != workers[1]


def test_validation_reads_every_image_once_in_order(make: Maker) -> None:
    check_validation(make(num_workers=0))


@with_workers
def test_workers_read_validation_images_in_order(make: Maker) -> None:
    check_validation(make(num_workers=2))


def check_validation(data: Any) -> None:
    batches = list(data.val_dataloader())
    read = [image for batch in batches for image in batch["image"]]
    labels = [label for batch in batches for label in batch["label"]]
    assert len(read) == len(labels) == len(data.val) == VAL
    assert len({image.numpy().tobytes() for image in read}) == VAL
    for index, (image, label) in enumerate(zip(read, labels, strict=True)):
        item = data.val[index]
        expected = item["label"] if isinstance(item, dict) else item[1]
        assert np.array_equal(label, expected)
        if hasattr(data.val, "labels"):
            with Image.open(data.val.labels[index]) as file:
                assert label.shape == file.size[::-1] != SIZE
            assert image.shape[1:] == SIZE


def test_two_ranks_read_alternating_validation_images(make: Maker) -> None:
    whole, *ranks = (
        [
            image.numpy().tobytes()
            for batch in make(rank=rank, devices=devices).val_dataloader()
            for image in batch["image"]
        ]
        for rank, devices in ((0, 1), (0, 2), (1, 2))
    )
    assert ranks == [whole[0::2], whole[1::2]]


def test_labels_of_training_and_validation_are_classes_or_void(make: Maker) -> None:
    data = make()
    (batches,) = epochs(data)
    labels = [batch["labeled"]["label"] for batch in batches]
    labels += [batch["label"] for batch in data.val_dataloader()]
    seen = {int(value) for label in labels for value in label.unique()}
    assert {label.dtype for label in labels} == {torch.int64}
    assert len(seen) > 1
    assert seen - {ops.VOID} <= {*range(data.num_classes)}
