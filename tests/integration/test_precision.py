"""Half precision reaches the mIoU of float32, within the noise between seeds."""

import functools

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from lightning_classmix import ClassMix, StreetScenesDataModule
from lightning_classmix.models.small_unet import SmallUNet
from tests import tiny

NOISE = 0.03  # in mIoU; the seeds below differ by up to 0.015


@functools.cache
def miou(precision: str, accelerator: str = "cpu") -> float:
    """Return the mIoU of the teacher after 200 steps, the mean of two seeds."""
    scores = []
    for seed in (0, 1):
        seed_everything(seed, verbose=False)
        data = StreetScenesDataModule(
            labeled=12, unlabeled=40, val=40, test=0, size=(32, 48)
        )
        module = ClassMix(
            7,
            network=SmallUNet(7, width=8),
            lr=0.01,
            labeled_only_steps=60,
            ramp_steps=40,
        )

        def trainer() -> Trainer:
            return tiny.trainer(
                max_steps=200,
                precision=precision,
                accelerator=accelerator,
                limit_val_batches=40,
                check_val_every_n_epoch=None,
                val_check_interval=200,
            )

        trainer().fit(module, data)
        (score,) = trainer().validate(module, data, verbose=False)
        scores.append(score["val_miou"])
    return sum(scores) / 2


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_bfloat16_reaches_the_miou_of_float32(precision: str) -> None:
    full = miou("32-true")
    assert full > 0.3
    assert miou(precision) == pytest.approx(full, abs=NOISE)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="float16 needs CUDA")
def test_float16_reaches_the_miou_of_float32() -> None:
    full = miou("32-true", "cuda")
    assert miou("16-mixed", "cuda") == pytest.approx(full, abs=NOISE)
