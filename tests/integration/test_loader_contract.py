"""What holds for the loaders of every data module."""

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


@pytest.fixture(params=["street_scenes", "folder", "camvid", "cityscapes", "voc"])
def make(request: pytest.FixtureRequest, root: Path) -> Maker:
    """Return what makes a data module, set up, of 4 + 9 + 3 images."""
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
            place = root / request.param
            options = {"labeled": LABELED, "size": SIZE, **options}
            data = kinds[request.param](place, **options)
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
"""Images as they are, so that one can tell which it is."""


def epochs(data: Any, count: int = 1) -> list[list[Any]]:
    """Return the batches of some epochs, of one loader, as a Trainer asks for them."""
    loader = data.train_dataloader()
    taken = []
    for epoch in range(count):
        for part in loader.flattened:
            part.sampler.set_epoch(epoch)
        taken.append([batch for batch, _, _ in loader])
    return taken


def images(batches: list[Any], part: str) -> list[bytes]:
    """Return something that tells every image of a part, in their order."""
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


def same(one: list[Any], other: list[Any]) -> bool:
    """Tell whether batches are the same bit for bit."""
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_workers_change_no_bit(make: Maker) -> None:
    alone, two = (epochs(make(num_workers=count), 2) for count in (0, 2))
    assert all(same(*pair) for pair in zip(alone, two, strict=True))


def test_the_seed_decides_all_batches(make: Maker) -> None:
    one, again, other = (epochs(make(seed=seed))[0] for seed in (0, 0, 1))
    assert len(one) == UNLABELED // 2
    assert same(one, again)
    for part in ("labeled", "unlabeled"):
        assert not {*images(one, part)} & {*images(other, part)}


def test_every_pass_is_augmented_anew(make: Maker) -> None:
    first, second = epochs(make(), 2)
    for part in ("labeled", "unlabeled"):
        seen = images(first + second, part)
        assert len({*seen}) == len(seen) == 16


def test_every_pass_is_shuffled_anew(make: Maker) -> None:
    # Two epochs of 18 images are 9 passes over the labeled, 4 over the unlabeled.
    first, second = epochs(make(**PLAIN, steps_per_epoch=9), 2)
    for part, count in (("labeled", LABELED), ("unlabeled", UNLABELED)):
        seen = images(first + second, part)
        assert len(seen) == 36
        passes = [tuple(seen[i : i + count]) for i in range(0, 36, count)]
        assert all({*one} == {*seen} for one in passes)
        assert len({*seen}) == count
        assert len({*passes}) > 1


def test_an_epoch_shows_no_unlabeled_image_twice_and_no_label_of_it(
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


def test_two_ranks_share_a_pass_out(make: Maker) -> None:
    whole = {*images(epochs(make(**PLAIN))[0], "labeled")}
    assert len(whole) == LABELED
    ranks = [
        epochs(make(**PLAIN, rank=rank, devices=2, steps_per_epoch=9))[0]
        for rank in (0, 1)
    ]
    for part, count in (("labeled", LABELED), ("unlabeled", UNLABELED)):
        one, other = (images(batches, part) for batches in ranks)
        stream = [image for pair in zip(one, other, strict=True) for image in pair]
        passes = [stream[i : i + count] for i in range(0, 36, count)]
        assert all(len({*some}) == count for some in passes)
        assert part == "unlabeled" or {*passes[0]} == whole


def test_two_ranks_have_two_shares_of_an_epoch(make: Maker) -> None:
    ranks = [epochs(make(rank=rank, devices=2))[0] for rank in (0, 1)]
    assert [len(batches) for batches in ranks] == [UNLABELED // 4] * 2


def test_workers_are_started_once(make: Maker) -> None:
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


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_shows_every_image_once_in_order(make: Maker, workers: int) -> None:
    data = make(num_workers=workers)
    batches = list(data.val_dataloader())
    shown = [image for batch in batches for image in batch["image"]]
    labels = [label for batch in batches for label in batch["label"]]
    assert len(shown) == len(labels) == len(data.val) == VAL
    assert len({image.numpy().tobytes() for image in shown}) == VAL
    for index, (image, label) in enumerate(zip(shown, labels, strict=True)):
        item = data.val[index]
        expected = item["label"] if isinstance(item, dict) else item[1]
        assert np.array_equal(label, expected)
        if hasattr(data.val, "labels"):
            with Image.open(data.val.labels[index]) as file:
                assert label.shape == file.size[::-1] != SIZE
            assert image.shape[1:] == SIZE


def test_two_ranks_share_validation_out(make: Maker) -> None:
    whole, *ranks = (
        [
            image.numpy().tobytes()
            for batch in make(rank=rank, devices=devices).val_dataloader()
            for image in batch["image"]
        ]
        for rank, devices in ((0, 1), (0, 2), (1, 2))
    )
    assert ranks == [whole[0::2], whole[1::2]]


def test_labels_are_classes_or_void(make: Maker) -> None:
    data = make()
    (batches,) = epochs(data)
    labels = [batch["labeled"]["label"] for batch in batches]
    labels += [batch["label"] for batch in data.val_dataloader()]
    seen = {int(value) for label in labels for value in label.unique()}
    assert {label.dtype for label in labels} == {torch.int64}
    assert len(seen) > 1
    assert seen - {ops.VOID} <= {*range(data.num_classes)}
