import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from lightning_classmix import SemiSupervisedDataModule, Supervised
from lightning_classmix.datamodules.reproduction import DataReproduction
from tests import tiny


def first_batches(data: Any, count: int = 1, seed: int = 0) -> list[Any]:
    seed_everything(seed, verbose=False)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    return [next(batches)[0] for _ in range(count)]


def test_batches_keep_the_contract() -> None:
    data = tiny.data(batch_size=2, unlabeled_batch_size=3)
    (batch,) = first_batches(data)
    shapes = {
        part: {key: (tuple(value.shape), value.dtype) for key, value in half.items()}
        for part, half in batch.items()
    }
    assert shapes == {
        "labeled": {
            "image": ((2, 3, 8, 8), torch.float32),
            "label": ((2, 8, 8), torch.int64),
        },
        "unlabeled": {
            "image": ((3, 3, 8, 8), torch.float32),
            "valid": ((3, 8, 8), torch.bool),
        },
    }


@pytest.mark.filterwarnings("ignore:unlabeled holds 3 images")
@pytest.mark.parametrize(
    ("labeled", "unlabeled", "options", "steps"),
    [
        (6, 10, {}, 5),  # one pass over the unlabeled set
        (6, 11, {}, 5),  # full batches only
        (30, 4, {}, 2),  # more labeled than unlabeled images
        (6, 10, {"unlabeled_batch_size": 5}, 2),
        (6, 10, {"steps_per_epoch": 17}, 17),
        (6, 3, {"unlabeled_batch_size": 4}, 1),  # less than one batch
    ],
)
def test_an_epoch_is_a_pass_over_the_unlabeled_set(
    labeled: int, unlabeled: int, options: dict[str, int], steps: int
) -> None:
    data = tiny.data(labeled, unlabeled, **options)
    data.setup("fit")
    assert len(iter(data.train_dataloader())) == steps
    assert len(list(data.train_dataloader())) == steps


def test_without_unlabeled_images_an_epoch_is_a_pass_over_the_labeled_set() -> None:
    data = SemiSupervisedDataModule(tiny.pairs(7), batch_size=2)
    (batch,) = first_batches(data)
    assert batch.keys() == {"labeled"}
    assert len(iter(data.train_dataloader())) == 3
    tiny.trainer().fit(Supervised(tiny.CLASSES, network=tiny.network()), data)


def test_labeled_images_are_reshuffled_on_every_pass() -> None:
    items = [
        (torch.full((3, 1, 1), float(i)), torch.zeros(1, 1).long()) for i in range(6)
    ]
    data = SemiSupervisedDataModule(items, tiny.pairs(18, size=(1, 1)), batch_size=2)
    seen = [
        int(value)
        for batch in first_batches(data, 9)
        for value in batch["labeled"]["image"][:, 0, 0, 0]
    ]
    passes = [seen[i : i + 6] for i in (0, 6, 12)]
    assert all(Counter(part) == Counter(range(6)) for part in passes)
    assert len({tuple(part) for part in passes}) == 3


def test_seed_everything_decides_the_order() -> None:
    one, same, other = (
        torch.stack([b["unlabeled"]["image"] for b in first_batches(data, 3, seed)])
        for data, seed in ((tiny.data(), 0), (tiny.data(), 0), (tiny.data(), 1))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


class Rows(Dataset[Any]):
    """Images of which every pixel tells, and the process that reads them."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        image = np.random.default_rng(index).integers(0, 255, (24, 24, 3))
        return image.astype(np.uint8), np.full((24, 24), os.getpid() % 7, np.uint8)


def unlabeled(workers: int) -> list[Tensor]:
    data = SemiSupervisedDataModule(
        Rows(), Rows(), batch_size=4, crop=(12, 12), num_workers=workers
    )
    seed_everything(0, verbose=False)
    data.setup("fit")
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(2):
        for part in loader.flattened:
            part.sampler.set_epoch(epoch)
        epochs += [batch["unlabeled"]["image"] for batch, _, _ in loader]
    return epochs


def test_augmentation_is_the_same_with_any_number_of_workers() -> None:
    alone, two = unlabeled(0), unlabeled(2)
    assert len(alone) == len(two) == 4
    assert all(torch.equal(one, other) for one, other in zip(alone, two, strict=True))


def test_augmentation_differs_between_items_and_passes() -> None:
    seen = torch.cat(unlabeled(2)).flatten(1)
    distances = torch.cdist(seen, seen) + torch.eye(len(seen)) * 1e6
    assert distances.min() > 1.0


def test_workers_live_as_long_as_the_loader() -> None:
    data = SemiSupervisedDataModule(
        Rows(), Rows(), batch_size=2, num_workers=1, flip=False, jitter=0
    )
    processes: set[int] = set()

    class Collect(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            for loader in (
                trainer.train_dataloader["labeled"],
                trainer.train_dataloader["unlabeled"],
            ):
                processes.update(worker.pid for worker in loader._iterator._workers)

    model = Supervised(7, network=torch.nn.Conv2d(3, 7, 1))
    tiny.trainer(max_steps=12, callbacks=[Collect()]).fit(model, data)
    assert len(processes) == 2  # one of each loader, over three epochs


def test_training_ends_as_planned_by_epochs_and_by_steps() -> None:
    for options, steps in (
        ({"max_epochs": 3, "max_steps": -1}, 15),
        ({"max_steps": 7}, 7),
    ):
        trainer = tiny.trainer(**options)
        trainer.fit(Supervised(tiny.CLASSES, network=tiny.network()), tiny.data())
        assert trainer.global_step == steps
        assert trainer.estimated_stepping_batches == steps


def test_a_given_pipeline_replaces_the_standard_pipeline() -> None:
    import albumentations

    pipeline = albumentations.CenterCrop(4, 6)
    data = SemiSupervisedDataModule(Rows(), Rows(), batch_size=2, transform=pipeline)
    (batch,) = first_batches(data)
    assert batch["labeled"]["label"].shape == (2, 4, 6)
    assert batch["unlabeled"]["valid"].shape == (2, 4, 6)


def test_unlabeled_images_get_no_color_jitter() -> None:
    gray = [(np.full((4, 4, 3), 99, np.uint8), np.zeros((4, 4), np.uint8))] * 8
    data = SemiSupervisedDataModule(gray, gray, batch_size=8, jitter=0.5)
    (batch,) = first_batches(data)
    assert batch["unlabeled"]["image"].flatten(2).std(dim=(0, 2)).max() == 0
    assert batch["labeled"]["image"].flatten(2).std(dim=(0, 2)).max() > 0.1


def test_base_seed_of_a_resumed_run_is_the_old_one(tmp_path: Path) -> None:
    seed_everything(5, verbose=False)
    data = tiny.data()
    trainer = tiny.trainer()
    trainer.fit(Supervised(tiny.CLASSES, network=tiny.network()), data)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    seed_everything(6, verbose=False)
    other = tiny.data()
    model = Supervised(tiny.CLASSES, network=tiny.network())
    tiny.trainer(max_steps=6).fit(model, other, ckpt_path=str(tmp_path / "run.ckpt"))
    assert other.state_dict() == data.state_dict() == {"base_seed": 5}
    assert model.base_seed == 5


def test_a_data_module_that_is_used_again_follows_the_new_seed() -> None:
    data = tiny.data()
    first = first_batches(data, seed=1)[0]["unlabeled"]["image"]
    second = first_batches(data, seed=2)[0]["unlabeled"]["image"]
    again = first_batches(data, seed=1)[0]["unlabeled"]["image"]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_images_of_four_channels_train() -> None:
    images = [(np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.uint8))] * 4
    data = SemiSupervisedDataModule(images, batch_size=2, mean=[0.5] * 4, std=[1.0] * 4)
    assert first_batches(data)[0]["labeled"]["image"].shape == (2, 4, 4, 4)


def test_few_labeled_images_repeat_with_a_warning() -> None:
    data = tiny.data(labeled=1, batch_size=4, unlabeled_batch_size=2)
    with pytest.warns(UserWarning, match="labeled holds 1 images for batches of 4"):
        (batch,) = first_batches(data)
    assert len(batch["labeled"]["image"]) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeled": 0}, "labeled must hold at least 1 image, got 0"),
        (
            {"unlabeled": 1},
            "unlabeled must hold at least 2 images, got 1; use Supervised",
        ),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"unlabeled_batch_size": 1}, "unlabeled_batch_size must be at least 2, got 1"),
        ({"unlabeled_batch_size": 0}, r"unlabeled_batch_size must be .* got 0"),
        ({"batch_size": 1}, "unlabeled_batch_size must be at least 2, got 1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1, got 0"),
    ],
)
def test_sets_that_cannot_be_trained_on_are_refused(
    options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.data(**options).setup("fit")


def test_prediction_goes_through_the_loader() -> None:
    data = SemiSupervisedDataModule(tiny.pairs(2), predict=tiny.pairs(3, size=(5, 7)))
    model = Supervised(tiny.CLASSES, network=tiny.network())
    found: Any = tiny.trainer().predict(model, data)
    assert found is not None
    assert [part["name"] for part in found] == [["000000"], ["000001"], ["000002"]]
    assert all(part["label"][0].shape == (5, 7) for part in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_batch_size": 0}, "val_batch_size must be at least 1, got 0"),
        ({"num_workers": -1}, "num_workers must be at least 0, got -1"),
        ({"crop": (0, 8)}, r"crop must be at least 2, got \(0, 8\)"),
        ({"size": (8, 0)}, r"size must be in \[2, 32767\], got \(8, 0\)"),
        (
            {"reproduction": DataReproduction(resize_labels=True)},
            "resize_labels must be False without a size, got",
        ),
        ({"scale": (0.0, 1.0)}, r"scale must be .* got \(0.0, 1.0\)"),
        ({"scale": (2.0, 1.0)}, r"scale must be .* got \(2.0, 1.0\)"),
        ({"jitter": 1.5}, r"jitter must be in \[0, 1\], got 1.5"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.data(**options)


def evaluated(**options: Any) -> Any:
    """Build a data module over ``Rows``, which are of 24 x 24 pixels."""
    return SemiSupervisedDataModule(
        Rows(), val=Rows(), test=Rows(), predict=Rows(), batch_size=2, **options
    )


@pytest.mark.parametrize("part", ["val", "test"])
def test_evaluation_labels_keep_their_size_unless_resize_labels(part: str) -> None:
    sizes = {}
    for resize_labels in (False, True):
        data = evaluated(size=(12, 16), reproduction=DataReproduction(resize_labels))
        batch = next(iter(getattr(data, f"{part}_dataloader")()))
        assert batch["image"].shape == (1, 3, 12, 16)
        sizes[resize_labels] = tuple(batch["label"].shape)
    assert sizes == {False: (1, 24, 24), True: (1, 12, 16)}


def test_resized_labels_are_reported_once_at_the_setup_of_each_stage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = (
        "labels of validation and test are resized to 12 x 16: scores are not those at"
        " the size of the files"
    )
    caplog.set_level("INFO", logger="lightning.pytorch")
    for stage, count in (("fit", 1), ("validate", 1), ("test", 1), ("predict", 0)):
        for resize_labels in (False, True):
            caplog.clear()
            evaluated(
                size=(12, 16), reproduction=DataReproduction(resize_labels)
            ).setup(stage)
            messages = [record.message for record in caplog.records]
            assert messages.count(told) == (count if resize_labels else 0)
    caplog.clear()
    SemiSupervisedDataModule(
        Rows(),
        batch_size=2,
        size=(12, 16),
        reproduction=DataReproduction(resize_labels=True),
    ).setup("fit")  # nothing is scored
    assert told not in caplog.messages


RED = np.array([[[250, 130, 10]]], np.uint8).repeat(6, 0).repeat(8, 1)
MEAN = (0.1, 0.2, 0.3)  # of blue, green, red


def colored(**options: Any) -> Any:
    """Build a data module over images that are rather red, in every form."""
    items = [(RED, np.zeros((6, 8), np.uint8)), (Image.fromarray(RED), RED[..., 2])]
    defaults: dict[str, Any] = {"jitter": 0.0, "mean": MEAN, "std": (1.0,) * 3}
    return SemiSupervisedDataModule(
        items,
        items,
        items,
        test=items,
        predict=[RED, Image.fromarray(RED)],
        batch_size=2,
        **defaults | options,
    )


def test_images_are_normalized_in_the_order_red_green_blue() -> None:
    data = colored()
    expected = torch.tensor([250, 130, 10]) / 255 - torch.tensor(MEAN)
    (batch,) = first_batches(data)
    loaders = (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader())
    images = [part["image"] for part in batch.values()]
    images += [item["image"] for loader in loaders for item in loader]
    assert len(images) == 2 + 3 * 2
    for image in images:
        assert image.shape[1:] == (3, 6, 8)
        torch.testing.assert_close(
            image, expected[:, None, None].expand_as(image), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("mark_padding", [False, True])
def test_crops_are_padded_with_the_mean_color(mark_padding: bool) -> None:
    data = colored(
        crop=(24, 24),
        scale=(1.0, 1.0),
        reproduction=DataReproduction(mark_padding=mark_padding),
    )
    (batch,) = first_batches(data)
    label, valid = batch["labeled"]["label"], batch["unlabeled"]["valid"]
    assert ((label == 255).sum((1, 2)) == 24 * 24 - 6 * 8).all()
    if mark_padding:
        assert (valid.sum((1, 2)) == 6 * 8).all()
    else:
        assert valid.all()
    first = torch.tensor([250, 130, 10])
    shown = (first / 255 - torch.tensor(MEAN))[:, None, None]
    for part in batch.values():
        away = (part["image"] - shown).abs().amax(1) > 0.01
        assert (away.sum((1, 2)) == 24 * 24 - 6 * 8).all()
        padding = part["image"].movedim(1, -1)[away]
        assert padding.abs().max() <= 0.5 / 255 + 1e-6  # whole gray values


def test_float_tensors_are_used_unchanged() -> None:
    pairs = tiny.pairs(4)
    data = SemiSupervisedDataModule(
        pairs,
        pairs,
        pairs,
        predict=[image for image, _ in pairs],
        batch_size=4,
        reproduction=DataReproduction(mark_padding=False),
        crop=(4, 4),
    )
    (batch,) = first_batches(data)
    given = {tuple(image.flatten().tolist()) for image, _ in pairs}
    images = [*batch["labeled"]["image"], *batch["unlabeled"]["image"]]
    for loader in (data.val_dataloader(), data.predict_dataloader()):
        images += [item["image"][0] for item in loader]
    assert {tuple(image.flatten().tolist()) for image in images} == given


def test_loading_data_adds_no_warning_filter() -> None:
    data = SemiSupervisedDataModule(tiny.pairs(2), batch_size=2)
    filters = len(warnings.filters)
    assert data.val_dataloader() == []
    assert len(warnings.filters) == filters


def test_a_pipeline_of_torchvision_is_refused() -> None:
    pipeline: Any = v2.Compose([v2.RandomHorizontalFlip()])
    with pytest.raises(TypeError, match=r"albumentations, got torchvision\.tr.*Comp"):
        tiny.data(transform=pipeline)
