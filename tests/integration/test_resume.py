"""A resumed run equals an uninterrupted run, bit for bit."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import nn

from lightning_classmix import ClassMix, SemiSupervisedDataModule, ops
from tests import tiny

EPOCH = 5  # batches
STEPS = 17


def pairs(count: int, seed: int) -> list[Any]:
    """Make images and labels to be cropped, flipped, scaled and jittered."""
    rng = np.random.default_rng(seed)
    return [
        (
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), np.uint8)),
            rng.integers(0, 3, (20, 24), np.uint8),
        )
        for _ in range(count)
    ]


class Batches(Callback):
    """Record the augmented images and the loss of every batch, by its number."""

    def __init__(self) -> None:
        self.values: dict[int, list[float]] = {}
        self.steps: list[int] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        images = [part["image"].sum().item() for part in batch.values()]
        self.values[number] = [*images, outputs["loss"].item()]
        self.steps.append(trainer.global_step)


def run(
    folder: Path,
    *,
    workers: int,
    every: int,
    accumulate: int = 1,
    interval: float | None = 3,
    **fit: Any,
) -> tuple[dict[str, Any], Batches]:
    """Train to the end; return the content of the last checkpoint, and the batches."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Dropout(0.3),
        nn.Conv2d(4, 3, 1),
    )
    seed_everything(0, verbose=False)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    module = ClassMix(3, network=network, labeled_only_steps=2, ramp_steps=6)
    data = SemiSupervisedDataModule(
        pairs(6, 0),
        pairs(10, 1),
        pairs(3, 2),
        batch_size=2,
        crop=(12, 12),
        num_workers=workers,
    )
    interval_options: dict[str, Any] = (
        {"every_n_train_steps": every} if every else {"every_n_epochs": 1}
    )
    checkpoints = ModelCheckpoint(
        folder, "{step}", save_top_k=-1, save_last=True, **interval_options
    )
    evaluation: dict[str, Any] = {
        "val_check_interval": interval,
        "check_val_every_n_epoch": None if isinstance(interval, int) else 1,
        "limit_val_batches": 1.0 if interval else 0,
    }
    recorded = Batches()
    trainer = tiny.trainer(
        max_steps=STEPS,
        callbacks=[checkpoints, recorded],
        enable_checkpointing=True,
        accumulate_grad_batches=accumulate,
        **evaluation,
    )
    trainer.fit(module, data, **fit)
    trainer.save_checkpoint(folder / "end.ckpt")
    content: dict[str, Any] = torch.load(folder / "end.ckpt", weights_only=True)
    scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return content | {"scores": scores}, recorded


def same(first: Any, second: Any) -> bool:
    """Return whether two values of a checkpoint are equal, bit for bit."""
    if isinstance(first, torch.Tensor):
        return bool(torch.equal(first, second))
    if isinstance(first, dict):
        equal_keys = first.keys() == second.keys()
        return equal_keys and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        items = zip(first, second, strict=True)
        return len(first) == len(second) and all(same(a, b) for a, b in items)
    if isinstance(first, float) and first != first:
        return bool(second != second)
    return bool(first == second)


class Whole(NamedTuple):
    """An uninterrupted run with a checkpoint of every step or epoch."""

    folder: Path
    options: dict[str, Any]
    content: dict[str, Any]
    batches: Batches


def whole_run(folder: Path, **options: Any) -> Whole:
    return Whole(folder, options, *run(folder, **options))


SETTINGS = {
    "one-batch": {"workers": 0, "every": 1},
    "accumulated": {"workers": 0, "every": 1, "accumulate": 2},
    "worker": {"workers": 1, "every": 1},
}
STOPS = [
    pytest.param("one-batch", EPOCH, id="end-of-epoch"),
    pytest.param("one-batch", 2 * EPOCH, id="end-of-second-epoch"),
    *(
        pytest.param(
            "one-batch", random.Random(seed).randint(1, STEPS - 1), id=f"random-{seed}"
        )
        for seed in range(4)
    ),
    pytest.param("accumulated", 3, id="accumulated"),
    pytest.param("worker", 7, id="worker", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", name="whole")
def make_whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    return whole_run(tmp_path_factory.mktemp("whole"), **SETTINGS[request.param])


@pytest.mark.parametrize(("whole", "step"), STOPS, indirect=["whole"], scope="module")
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_ends_with_the_same_checkpoint_and_batches(
    whole: Whole, step: int, tmp_path: Path
) -> None:
    seed_everything(99, verbose=False)  # must have no effect on the resumed run
    half = whole.folder / f"step={step}.ckpt"
    resumed, remaining = run(tmp_path, **whole.options, ckpt_path=str(half))
    batches = whole.batches

    for part in ("state_dict", "optimizer_states", "lr_schedulers", "scores"):
        assert same(whole.content[part], resumed[part]), part
    for part in ("global_step", "epoch", "base_seed", "SemiSupervisedDataModule"):
        assert whole.content[part] == resumed[part], part
    teachers = [each["callbacks"]["EMATeacher"] for each in (whole.content, resumed)]
    assert teachers[0] == teachers[1]
    assert remaining.values == {i: batches.values[i] for i in remaining.values}
    assert min(remaining.values) == batches.steps.index(step) + 1
    assert max(remaining.values) == max(batches.values)


@pytest.fixture(scope="module", params=[1.0, None], ids=["validated", "not validated"])
def epochs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    folder = tmp_path_factory.mktemp("epochs")
    return whole_run(folder, workers=0, every=0, interval=request.param)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_checkpoint_of_the_end_of_an_epoch_resumes_with_the_next_epoch(
    epochs: Whole, epoch: int, tmp_path: Path
) -> None:
    half = epochs.folder / f"step={epoch * EPOCH}.ckpt"
    resumed, remaining = run(tmp_path, **epochs.options, ckpt_path=str(half))
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(epochs.content[part], resumed[part]), part
    assert remaining.values == {i: epochs.batches.values[i] for i in remaining.values}
    assert list(remaining.values) == list(range(epoch * EPOCH, STEPS))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists")
def test_ckpt_path_last_resumes_from_the_folder_of_model_checkpoint(
    tmp_path: Path,
) -> None:
    whole, _ = run(tmp_path, workers=0, every=4)
    (tmp_path / "end.ckpt").unlink()
    resumed, remaining = run(tmp_path, workers=0, every=4, ckpt_path="last")
    assert same(whole["state_dict"], resumed["state_dict"])
    assert min(remaining.values) == 16


def test_a_run_resumed_with_more_steps_follows_the_longer_schedule(
    tmp_path: Path,
) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.values: dict[int, float] = {}

        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            (optimizer,) = trainer.optimizers
            self.values[trainer.global_step] = optimizer.param_groups[0]["lr"]

    def fit(steps: int, path: Path | None) -> dict[int, float]:
        rates = Rates()
        module = ClassMix(tiny.CLASSES, network=tiny.network(), lr=0.5)
        trainer = tiny.trainer(max_steps=steps, callbacks=[rates])
        trainer.fit(module, tiny.data(), ckpt_path=path)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        return rates.values

    for steps, path in ((4, None), (8, tmp_path / "a.ckpt")):
        rates = fit(steps, path)
        expected = {step: 0.5 * ops.poly(step, steps) for step in rates}
        assert rates == pytest.approx(expected)
    assert list(rates) == [5, 6, 7, 8]
