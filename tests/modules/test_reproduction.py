from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_classmix import Supervised
from lightning_classmix.modules.reproduction import Reproduction
from tests import tiny


def saved(folder: Path, **options: Any) -> Path:
    module = Supervised(tiny.CLASSES, network=tiny.network(), **options)
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(folder / "run.ckpt")
    return folder / "run.ckpt"


def test_settings_are_a_plain_dict_in_a_checkpoint_and_settings_again_when_loaded(
    tmp_path: Path,
) -> None:
    settings = Reproduction(decay_all=True, freeze_norm=True, pad_to=(16, 24))
    path = saved(tmp_path, reproduction=settings)
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["reproduction"] == {
        "decay_all": True,
        "freeze_norm": True,
        "pad_to": (16, 24),
    }
    loaded = Supervised.load_from_checkpoint(path, network=tiny.network())
    assert loaded.reproduction == settings


def test_none_is_kept_in_a_checkpoint_and_means_the_defaults(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["reproduction"] is None
    loaded = Supervised.load_from_checkpoint(path, network=tiny.network())
    assert loaded.reproduction == Reproduction(False, False, None)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Reproduction().decay_all = True  # type: ignore[misc]


def test_pad_to_must_be_at_least_one_pixel() -> None:
    with pytest.raises(ValueError, match=r"pad_to must be at least 1, got \(0, 5\)$"):
        Reproduction(pad_to=(0, 5))
