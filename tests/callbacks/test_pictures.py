from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.callbacks.pictures import Pictures, log_picture
from tests import tiny

PICTURE = np.zeros((4, 6, 3), np.uint8)


def module(method: Any = ClassMix, **options: Any) -> Any:
    seed_everything(0, verbose=False)
    if method is ClassMix:
        options = {"labeled_only_steps": 0, **options}
    return method(tiny.CLASSES, network=tiny.network(), **options)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.png"))


def fit(folder: Path, model: Any = None, **options: Any) -> Any:
    trainer = tiny.trainer(
        callbacks=[Pictures()],
        default_root_dir=folder,
        **{"max_steps": 4, "val_check_interval": 2, "log_every_n_steps": 2, **options},
    )
    trainer.fit(model or module(), tiny.data())
    return trainer


def test_every_validation_writes_predictions_and_a_mix(tmp_path: Path) -> None:
    fit(tmp_path)
    assert files(tmp_path) == [
        "mix-00000002.png",
        "mix-00000004.png",
        "validation-00000002.png",
        "validation-00000004.png",
    ]
    with Image.open(tmp_path / "pictures/validation-00000004.png") as picture:
        width, height = picture.size
    assert width > 5 * 240  # image, truth, student, teacher, confidence
    assert height > 4 * 240


def test_supervised_training_shows_one_network_and_no_mix(tmp_path: Path) -> None:
    fit(tmp_path, module(Supervised))
    assert files(tmp_path) == ["validation-00000002.png", "validation-00000004.png"]


def test_the_mix_is_that_of_the_last_logging_interval(tmp_path: Path) -> None:
    fit(tmp_path, max_steps=5, limit_val_batches=0, val_check_interval=None)
    assert files(tmp_path) == ["mix-00000004.png"]


def test_a_run_without_mixes_writes_none(tmp_path: Path) -> None:
    fit(tmp_path, module(labeled_only_steps=9))
    assert not [name for name in files(tmp_path) if "mix" in name]


def test_nothing_is_written_by_a_fast_dev_run_or_a_sanity_check(tmp_path: Path) -> None:
    fit(tmp_path, fast_dev_run=2)
    fit(tmp_path, max_steps=1, num_sanity_val_steps=2, val_check_interval=5)
    assert files(tmp_path) == ["mix-00000001.png"]


def test_images_are_spread_over_the_validation_set(tmp_path: Path) -> None:
    pictures = Pictures(images=2)
    trainer = tiny.trainer(default_root_dir=tmp_path, callbacks=[pictures])
    trainer.validate(module(), tiny.data(), verbose=False)
    assert set(pictures._chosen) == {0, 3}
    data = tiny.data(val_batch_size=4)
    trainer.validate(module(), data, verbose=False)
    assert pictures._chosen[0] == 2


def test_pictures_change_neither_weights_nor_random_numbers(tmp_path: Path) -> None:
    weights = []
    for callbacks in ([Pictures()], []):
        model = module(teacher_mode="train")
        trainer = tiny.trainer(
            callbacks=callbacks,
            default_root_dir=tmp_path,
            val_check_interval=2,
            log_every_n_steps=1,
        )
        trainer.fit(model, tiny.data())
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert value.equal(weights[1][name]), name


def test_tensorboard_receives_both_pictures(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    fit(tmp_path, logger=logger)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert events.Tags()["images"] == ["pictures/validation", "pictures/mix"]
    steps = [event.step for event in events.Images("pictures/validation")]
    assert steps == [2, 4]
    assert "mix-00000002.png" in files(tmp_path / "run")


@pytest.mark.slow
def test_weights_and_biases_receives_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    log_picture(logger, "pictures/mix", PICTURE, 3)
    run = Path(logger.experiment.dir)
    logger.experiment.finish()
    assert len(list(run.rglob("media/images/pictures/mix*.png"))) == 1


def test_mlflow_receives_a_picture() -> None:
    class Client:
        def log_image(self, run_id: str, image: Any, artifact_file: str) -> None:
            self.received = run_id, image.shape, artifact_file

    class Logger(MLFlowLogger):
        def __init__(self) -> None:  # mlflow need not be installed
            self.client = Client()

        @property
        def experiment(self) -> Any:
            return self.client

        @property
        def run_id(self) -> str:
            return "7"

    logger = Logger()
    log_picture(logger, "pictures/mix", PICTURE, 3)
    file = "pictures/mix-00000003.png"
    assert logger.client.received == ("7", PICTURE.shape, file)


def test_a_number_of_images_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        Pictures(images=0)


def test_images_of_other_channel_counts_are_shown(tmp_path: Path) -> None:
    model = Supervised(
        2,
        network=torch.nn.Conv2d(5, 2, 1),
        in_channels=5,
        mean=[0.5] * 5,
        std=[0.5] * 5,
    )
    batch = {
        "image": torch.randn(1, 5, 8, 8),
        "label": torch.zeros(1, 8, 8, dtype=torch.int64),
    }
    trainer = tiny.trainer(default_root_dir=tmp_path, callbacks=[Pictures()])
    trainer.validate(model, tiny.loader(batch), verbose=False)
    assert files(tmp_path) == ["validation-00000000.png"]
