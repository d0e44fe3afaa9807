"""Tuners, callbacks and loggers of Lightning, each run once with ClassMix."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    LearningRateMonitor,
    ModelSummary,
    ThroughputMonitor,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.tuner.tuning import Tuner
from torch import nn

from lightning_classmix import ClassMix, build_model
from tests import tiny

pytestmark = pytest.mark.usefixtures("accelerator")


def module(**options: Any) -> ClassMix:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "labeled_only_steps": 1}
    return ClassMix(tiny.CLASSES, **defaults | options)


@pytest.mark.slow
def test_the_learning_rate_finder_sets_a_rate_and_restores_the_weights(
    tmp_path: Path,
) -> None:
    model = module()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = tiny.trainer(
        default_root_dir=tmp_path,
        enable_checkpointing=True,
        max_steps=-1,
        max_epochs=20,
    )
    finder = Tuner(trainer).lr_find(model, tiny.data(), num_training=30, min_lr=1e-5)
    assert finder is not None
    assert model.lr == finder.suggestion()
    assert model.lr != 1e-3
    for key, value in model.state_dict().items():
        assert value.equal(before[key]), key
    trainer.fit(model, tiny.data())
    assert trainer.optimizers[0].param_groups[0]["initial_lr"] == model.lr


@pytest.mark.slow
def test_the_learning_rate_finder_starts_from_the_pretrained_weights(
    tmp_path: Path,
) -> None:
    encoder: Any = build_model("unet", "resnet18", tiny.CLASSES).encoder
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    model = module(
        network=None,
        model="unet",
        encoder="resnet18",
        encoder_weights=str(tmp_path / "encoder.pth"),
    )
    options = {"default_root_dir": tmp_path, "enable_checkpointing": True}
    trainer = tiny.trainer(max_steps=-1, max_epochs=2, **options)
    Tuner(trainer).lr_find(model, tiny.data(), num_training=8, min_lr=1e-9)
    trained: Any = model.student.encoder
    assert trained.conv1.weight.equal(encoder.conv1.weight.to(model.device))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Be aware that when using")
def test_the_batch_size_finder_scales_labeled_and_unlabeled_batches(
    tmp_path: Path,
) -> None:
    data = tiny.data(labeled=64, unlabeled=64)
    trainer = tiny.trainer(
        default_root_dir=tmp_path, enable_checkpointing=True, max_steps=-1, max_epochs=1
    )
    batch_size = Tuner(trainer).scale_batch_size(
        module(), datamodule=data, init_val=4, max_trials=2, steps_per_trial=1
    )
    assert batch_size == data.batch_size == data.unlabeled_batch_size == 8


def test_the_model_summary_lists_student_and_teacher(
    capsys: pytest.CaptureFixture[str],
) -> None:
    callback = ModelSummary(max_depth=2)
    summary = callback._summary(tiny.trainer(), module())
    assert {"student", "teacher", "teacher.network"} <= set(summary.layer_names)
    tiny.trainer(callbacks=[callback]).fit(module(), tiny.data())


@pytest.mark.filterwarnings("ignore:When using the `ThroughputMonitor`")
def test_the_throughput_monitor_logs_samples_per_second(tmp_path: Path) -> None:
    def batch_size(batch: Any) -> int:
        return len(batch.get("labeled", batch)["image"])

    monitor = ThroughputMonitor(batch_size_fn=batch_size, window_size=3)
    logger = CSVLogger(tmp_path)
    trainer = tiny.trainer(
        max_steps=9, callbacks=[monitor], logger=logger, log_every_n_steps=3
    )
    trainer.fit(module(), tiny.data())
    assert (
        "train/device/samples_per_sec"
        in Path(logger.log_dir, "metrics.csv").read_text()
    )


def test_early_stopping_monitors_val_miou() -> None:
    stopper = EarlyStopping("val_miou", mode="max", patience=2, min_delta=1.0)
    trainer = tiny.trainer(max_steps=-1, max_epochs=9, callbacks=[stopper])
    trainer.fit(module(), tiny.data())
    assert trainer.current_epoch == 3


def test_the_learning_rate_monitor_logs_the_rate(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    trainer = tiny.trainer(
        callbacks=[LearningRateMonitor()], logger=logger, log_every_n_steps=1
    )
    trainer.fit(module(lr=0.5), tiny.data())
    header = Path(logger.log_dir, "metrics.csv").read_text().splitlines()[0]
    assert "lr-" in header


def test_backbone_finetuning_freezes_and_unfreezes_the_teachers_encoder_too() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Conv2d(3, 4, 1)
            self.head = nn.Conv2d(4, 3, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.encoder(image))
            return logits

    class EncoderWeights(Callback):
        def __init__(self) -> None:
            self.weights: list[torch.Tensor] = []

        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            encoder = pl_module.teacher.network.encoder
            self.weights.append(encoder.weight.clone())

    recorded = EncoderWeights()
    finetuning = BackboneFinetuning(unfreeze_backbone_at_epoch=2, verbose=False)
    trainer = tiny.trainer(max_steps=-1, max_epochs=4, callbacks=[finetuning, recorded])
    trainer.fit(module(network=Network(), lr=0.1), tiny.data())
    first, second, third, fourth = recorded.weights
    assert first.equal(second)
    assert not second.equal(third)
    assert not third.equal(fourth)


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_loggers_write_losses_scores_and_scores_per_class(
    kind: Any, tmp_path: Path
) -> None:
    logger = kind(tmp_path)
    trainer = tiny.trainer(logger=logger, log_every_n_steps=1, val_check_interval=2)
    trainer.fit(module(class_names=["sky", "road", "tree"]), tiny.data())
    files = [path for path in Path(logger.log_dir).rglob("*") if path.is_file()]
    logged = b"".join(path.read_bytes() for path in files)
    for key in ("train_loss_mixed", "val_miou_teacher", "val_iou/sky"):
        assert key.encode() in logged


@pytest.mark.slow
def test_weights_and_biases_logs_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    from lightning.pytorch.loggers import WandbLogger

    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    trainer = tiny.trainer(logger=logger, log_every_n_steps=1, val_check_interval=2)
    trainer.fit(module(), tiny.data())
    assert "val_miou" in dict(logger.experiment.summary)
    logger.experiment.finish()
