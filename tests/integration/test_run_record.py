"""Pictures, validation record and pseudo-label health on two devices and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_classmix import ClassMix
from lightning_classmix.callbacks import (
    Pictures,
    PseudoLabelHealth,
    ValidationRecord,
)
from tests import tiny


class Recorder(Callback):
    """Save the pseudo-labels and the logged values of each rank."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: list[torch.Tensor] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.labels.append(outputs["pseudo_label"])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        values = dict(trainer.callback_metrics)
        path = self.folder / f"{trainer.global_rank}.pt"
        torch.save((torch.cat(self.labels), values), path)


def fit(folder: Path, *, ckpt_path: Path | None = None, **options: Any) -> Any:
    folder.mkdir(exist_ok=True)
    seed_everything(0, verbose=False)
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    callbacks = [PseudoLabelHealth(), Pictures(), ValidationRecord(4)]
    every = ModelCheckpoint(
        folder / "checkpoints", every_n_train_steps=2, save_top_k=-1
    )
    trainer = tiny.trainer(
        callbacks=[*callbacks, Recorder(folder), every],
        enable_checkpointing=True,
        default_root_dir=folder,
        **{"log_every_n_steps": 2, "val_check_interval": 2, **options},
    )
    trainer.fit(module, tiny.data(labeled=8, unlabeled=20), ckpt_path=ckpt_path)
    return trainer


@pytest.mark.forks
def test_two_devices_share_their_counts_and_write_each_file_once(
    tmp_path: Path,
) -> None:
    fit(tmp_path, devices=2, strategy="ddp_fork", max_steps=2)
    (first, logged), (second, other) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)
    )
    labels = torch.cat([first, second])
    for index in range(tiny.CLASSES):
        key = f"pseudo_label/share/{index}"
        assert logged[key] == pytest.approx((labels == index).float().mean().item())
        assert logged[key] == other[key]
    record = json.loads((tmp_path / "validation.json").read_text())
    assert [entry["name"] for entry in record["best"]] != []
    assert {e["name"] for e in record["best"]} == {f"image {i}" for i in range(4)}
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert [name for name in written if name[:3] in ("mix", "val")] == [
        "mix-00000002.png",
        "validation-00000002.png",
    ]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_continues_pictures_and_counts(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    (checkpoint,) = (tmp_path / "whole/checkpoints").glob("*step=2.ckpt")
    resumed = fit(tmp_path / "resumed", ckpt_path=checkpoint)
    for key, value in whole.callback_metrics.items():
        assert resumed.callback_metrics[key].equal(value), key
    assert "pseudo_label/labeled_share/0" in whole.callback_metrics
    written = {path.name for path in (tmp_path / "resumed/pictures").iterdir()}
    assert {"mix-00000004.png", "validation-00000004.png"} <= written
    assert "mix-00000002.png" not in written
