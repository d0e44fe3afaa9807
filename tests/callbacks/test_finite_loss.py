from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.callbacks import FiniteLoss
from tests import tiny

METHODS = pytest.mark.parametrize("method", [Supervised, ClassMix])


class NaNGradient(Callback):
    """Set a gradient to NaN at the ninth step, whose loss is still finite."""

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: object
    ) -> None:
        if trainer.global_step == 8:
            weight: Any = next(pl_module.parameters())
            nn.init.constant_(weight.grad, torch.nan)


@METHODS
def test_a_weights_only_checkpoint_with_nan_weights_is_not_written(
    method: type[Supervised], tmp_path: Path
) -> None:
    keep = ModelCheckpoint(
        tmp_path,
        "{step}",
        save_weights_only=True,
        every_n_train_steps=3,
        save_top_k=-1,
    )
    trainer = tiny.trainer(
        max_steps=30,
        callbacks=[NaNGradient(), keep],
        enable_checkpointing=True,
        limit_val_batches=0,
    )
    with pytest.raises(FloatingPointError, match=r"got weight .* nan at step 9"):
        trainer.fit(method(tiny.CLASSES, network=tiny.network()), tiny.data())
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["step=3.ckpt", "step=6.ckpt"]


class ForeignModule(LightningModule):
    """A module of another package, without a student, whose loss becomes infinite."""

    def __init__(self, name: str, infinite_from: int) -> None:
        super().__init__()
        self.network = tiny.network()
        self.name = name
        self.infinite_from = infinite_from

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.network(batch["labeled"]["image"]).square().mean()
        if self.global_step >= self.infinite_from:
            loss = loss * torch.inf
        self.log(self.name, loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("name", ["train_loss", "train_loss_of_mine"])
def test_the_logged_loss_of_a_module_of_another_package_is_checked(name: str) -> None:
    trainer = tiny.trainer(max_steps=9, callbacks=[FiniteLoss()], log_every_n_steps=2)
    with pytest.raises(FloatingPointError, match=f"got {name} inf at step 4; lower lr"):
        trainer.fit(ForeignModule(name, 3), tiny.loader(*[tiny.batch()] * 9))


@pytest.mark.parametrize("part", ["labeled", "unlabeled"])
def test_the_error_names_the_first_image_that_holds_nan(part: str) -> None:
    batches: list[Any] = [tiny.batch() for _ in range(6)]
    batches[2][part]["image"][1, 0] = torch.nan  # wherever pixels are pasted
    batches[3][part]["image"][0] = torch.inf
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    trainer = tiny.trainer(max_steps=6, log_every_n_steps=5)
    message = f"NaN or infinity in item 1 of the {part} batch of step 3"
    with pytest.raises(FloatingPointError, match=rf"at step 5; image holds {message}$"):
        trainer.fit(module, tiny.loader(*batches))


def test_values_with_other_names_are_not_checked() -> None:
    trainer = tiny.trainer(max_steps=4, callbacks=[FiniteLoss()], log_every_n_steps=1)
    trainer.fit(ForeignModule("other_loss", 3), tiny.loader(*[tiny.batch()] * 4))
    assert trainer.global_step == 4


def test_weights_of_a_module_of_another_package_are_checked(tmp_path: Path) -> None:
    module = ForeignModule("train_loss", infinite_from=99)
    trainer = tiny.trainer(max_steps=1, callbacks=[FiniteLoss()])
    trainer.fit(module, tiny.loader(tiny.batch()))
    trainer.save_checkpoint(tmp_path / "finite.ckpt")
    nn.init.constant_(module.network[0].weight, torch.nan)  # type: ignore[arg-type]
    with pytest.raises(FloatingPointError, match=r"got weight network\.0\.weight nan"):
        trainer.save_checkpoint(tmp_path / "nan.ckpt")
    assert not (tmp_path / "nan.ckpt").exists()


def finite_losses(trainer: Any) -> list[Callback]:
    return [each for each in trainer.callbacks if isinstance(each, FiniteLoss)]


@METHODS
def test_modules_add_the_callback_once(method: type[Supervised]) -> None:
    module = method(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module, tiny.data())
    trainer.test(module, tiny.data(), verbose=False)
    assert len(finite_losses(trainer)) == 1


@METHODS
def test_modules_keep_the_callback_of_the_trainer(method: type[Supervised]) -> None:
    class Own(FiniteLoss):
        pass

    own = Own()
    trainer = tiny.trainer(max_steps=1, callbacks=[own])
    trainer.fit(method(tiny.CLASSES, network=tiny.network()), tiny.data())
    assert finite_losses(trainer) == [own]
