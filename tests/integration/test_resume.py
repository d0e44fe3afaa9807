"""A run that is resumed ends as one that was never interrupted, bit for bit."""

import random
from pathlib import Path
from typing import Any

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


def pictures(count: int, seed: int) -> list[Any]:
    """Make images that are cropped, flipped, scaled and jittered."""
    rng = np.random.default_rng(seed)
    return [
        (
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), np.uint8)),
            rng.integers(0, 3, (20, 24), np.uint8),
        )
        for _ in range(count)
    ]


class Order(Callback):
    """Note the images of every batch, as they came after augmentation."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {}
        self.steps: list[int] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        place = trainer.fit_loop.epoch_loop.total_batch_idx
        images = [part["image"].sum().item() for part in batch.values()]
        self.seen[place] = [*images, outputs["loss"].item()]
        self.steps.append(trainer.global_step)


def run(
    folder: Path,
    *,
    workers: int,
    every: int,
    accumulate: int = 1,
    interval: float | None = 3,
    **fit: Any,
) -> tuple[dict[str, Any], Order]:
    """Train to the end; return the last checkpoint's content, and the order."""
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
        pictures(6, 0),
        pictures(10, 1),
        pictures(3, 2),
        batch_size=2,
        crop=(12, 12),
        num_workers=workers,
    )
    when: dict[str, Any] = (
        {"every_n_train_steps": every} if every else {"every_n_epochs": 1}
    )
    keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, save_last=True, **when)
    evaluation: dict[str, Any] = {
        "val_check_interval": interval,
        "check_val_every_n_epoch": None if isinstance(interval, int) else 1,
        "limit_val_batches": 1.0 if interval else 0,
    }
    order = Order()
    trainer = tiny.trainer(
        max_steps=STEPS,
        callbacks=[keep, order],
        enable_checkpointing=True,
        accumulate_grad_batches=accumulate,
        **evaluation,
    )
    trainer.fit(module, data, **fit)
    trainer.save_checkpoint(folder / "end.ckpt")
    content: dict[str, Any] = torch.load(folder / "end.ckpt", weights_only=True)
    scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return content | {"scores": scores}, order


def same(one: Any, other: Any) -> bool:
    """Compare whatever a checkpoint holds, to the last bit."""
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=True)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, float) and one != one:
        return bool(other != other)
    return bool(one == other)


KINDS = [
    pytest.param(EPOCH, 0, 1, id="end-of-epoch"),
    pytest.param(2 * EPOCH, 0, 1, id="end-of-second-epoch"),
    *(
        pytest.param(
            random.Random(seed).randint(1, STEPS - 1), 0, 1, id=f"random-{seed}"
        )
        for seed in range(4)
    ),
    pytest.param(3, 0, 2, id="accumulated"),
    pytest.param(7, 1, 1, id="worker", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("step", "workers", "accumulate"), KINDS)
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_everything_is_equal_at_the_end(
    step: int, workers: int, accumulate: int, tmp_path: Path
) -> None:
    options = {"workers": workers, "every": step, "accumulate": accumulate}
    whole, order = run(tmp_path / "whole", **options)
    seed_everything(99, verbose=False)  # another seed must not matter
    half = tmp_path / "whole" / f"step={step}.ckpt"
    resumed, rest = run(tmp_path / "resumed", **options, ckpt_path=str(half))

    for part in ("state_dict", "optimizer_states", "lr_schedulers", "scores"):
        assert same(whole[part], resumed[part]), part
    for part in ("global_step", "epoch", "base_seed", "SemiSupervisedDataModule"):
        assert whole[part] == resumed[part], part
    assert whole["callbacks"]["EMATeacher"] == resumed["callbacks"]["EMATeacher"]
    assert rest.seen == {at: order.seen[at] for at in rest.seen}
    assert min(rest.seen) == order.steps.index(step) + 1
    assert max(rest.seen) == max(order.seen)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_the_checkpoint_of_an_epoch_goes_on_with_the_next(
    epoch: int, validated: bool, tmp_path: Path
) -> None:
    interval = 1.0 if validated else None
    options: dict[str, Any] = {"workers": 0, "every": 0, "interval": interval}
    whole, order = run(tmp_path / "whole", **options)
    half = tmp_path / "whole" / f"step={epoch * EPOCH}.ckpt"
    resumed, rest = run(tmp_path / "resumed", **options, ckpt_path=str(half))
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(whole[part], resumed[part]), part
    assert rest.seen == {at: order.seen[at] for at in rest.seen}
    assert list(rest.seen) == list(range(epoch * EPOCH, STEPS))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists")
def test_last_goes_on_from_the_folder_of_the_callback(tmp_path: Path) -> None:
    whole, _ = run(tmp_path, workers=0, every=4)
    (tmp_path / "end.ckpt").unlink()
    again, rest = run(tmp_path, workers=0, every=4, ckpt_path="last")
    assert same(whole["state_dict"], again["state_dict"])
    assert min(rest.seen) == 16


def test_a_run_that_goes_on_for_longer_falls_as_one_of_that_length(
    tmp_path: Path,
) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: dict[int, float] = {}

        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            (optimizer,) = trainer.optimizers
            self.seen[trainer.global_step] = optimizer.param_groups[0]["lr"]

    def fit(steps: int, path: Path | None) -> dict[int, float]:
        rates = Rates()
        module = ClassMix(tiny.CLASSES, network=tiny.network(), lr=0.5)
        trainer = tiny.trainer(max_steps=steps, callbacks=[rates])
        trainer.fit(module, tiny.data(), ckpt_path=path)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        return rates.seen

    for steps, path in ((4, None), (8, tmp_path / "a.ckpt")):
        rates = fit(steps, path)
        expected = {step: 0.5 * ops.poly(step, steps) for step in rates}
        assert rates == pytest.approx(expected)
    assert list(rates) == [5, 6, 7, 8]
