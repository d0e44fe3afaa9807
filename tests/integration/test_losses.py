"""A run whose loss or weights become NaN stops, and its last checkpoint stays."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from lightning_classmix import ClassMix, Supervised
from tests import tiny

pytestmark = pytest.mark.usefixtures("accelerator")


class NaNWeight(Callback):
    """Set a weight of the student to NaN at a given step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *_: object
    ) -> None:
        if trainer.global_step == self.step:
            student: Any = pl_module.student
            nn.init.constant_(student.network[0].weight, torch.nan)


@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_a_nan_loss_stops_the_run_at_the_next_logging_interval(
    method: type[Supervised],
) -> None:
    options = {} if method is Supervised else {"labeled_only_steps": 0, "ramp_steps": 0}
    module = method(tiny.CLASSES, network=tiny.network(), **options)  # type: ignore[arg-type]
    trainer = tiny.trainer(
        max_steps=30, callbacks=[NaNWeight(6)], log_every_n_steps=5, limit_val_batches=0
    )
    losses = "train_loss_labeled nan, train_loss nan"
    if method is ClassMix:
        losses = "train_loss_labeled nan, train_loss_mixed nan, train_loss nan"
    with pytest.raises(FloatingPointError, match=f"got {losses} at step 10;"):
        trainer.fit(module, tiny.data())
    assert trainer.global_step == 10


def test_a_nan_loss_does_not_overwrite_the_last_checkpoint(tmp_path: Path) -> None:
    checkpoints = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=3)
    trainer = tiny.trainer(
        max_steps=30,
        callbacks=[NaNWeight(7), checkpoints],
        enable_checkpointing=True,
        limit_val_batches=0,
    )
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    with pytest.raises(FloatingPointError, match="at step 9"):
        trainer.fit(module, tiny.data())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_nan_weights_are_not_written_to_a_checkpoint(tmp_path: Path) -> None:
    class NaNGradient(Callback):
        def on_before_optimizer_step(
            self,
            trainer: Trainer,
            pl_module: LightningModule,
            optimizer: object,
        ) -> None:
            if trainer.global_step == 8:  # the loss of this step is finite
                weight: Any = next(pl_module.parameters())
                nn.init.constant_(weight.grad, torch.nan)

    checkpoints = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=3)
    trainer = tiny.trainer(
        max_steps=30,
        callbacks=[NaNGradient(), checkpoints],
        enable_checkpointing=True,
        limit_val_batches=0,
    )
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    with pytest.raises(FloatingPointError, match=r"got weight .* nan at step 9"):
        trainer.fit(module, tiny.data())
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 6


def test_a_run_with_finite_losses_is_not_stopped() -> None:
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    trainer = tiny.trainer(max_steps=12, log_every_n_steps=2)
    trainer.fit(module, tiny.data())
    assert trainer.global_step == 12
    assert set(module.losses) == {"train_loss_labeled", "train_loss_mixed"}
