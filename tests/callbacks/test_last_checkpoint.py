from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_classmix import Supervised
from lightning_classmix.callbacks import LastCheckpoint
from tests import tiny


def fit(**options: Any) -> LastCheckpoint:
    last = LastCheckpoint()
    callbacks = [last, *options.pop("callbacks", [])]
    network = tiny.network(norm=False)  # with lr = 0 the score never improves
    module = Supervised(tiny.CLASSES, network=network, lr=0.0)
    tiny.trainer(callbacks=callbacks, **options).fit(module, tiny.data())
    return last


def step(path: Path | None) -> int:
    assert path is not None
    checkpoint = torch.load(path, weights_only=True)
    return int(checkpoint["global_step"])


def test_the_last_step_is_saved_if_the_score_does_not_improve(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val_miou", mode="max")
    last = fit(
        callbacks=[best], enable_checkpointing=True, max_steps=7, val_check_interval=2
    )
    assert last.path == tmp_path / "last.ckpt"
    assert step(last.path) == 7
    assert step(Path(best.best_model_path)) == 2


def test_the_file_is_written_after_every_validation_of_a_fit(tmp_path: Path) -> None:
    steps = []

    class Recorded(LastCheckpoint):
        def on_validation_end(self, *arguments: Any) -> None:
            super().on_validation_end(*arguments)
            steps.append(step(self.path) if self.path else None)

    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(
        callbacks=[Recorded()],
        max_steps=5,
        val_check_interval=2,
        num_sanity_val_steps=1,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, tiny.data())
    assert steps == [None, 2, 4]
    trainer.validate(module, tiny.data(), verbose=False)
    assert step(tmp_path / "checkpoints" / "last.ckpt") == 5


def test_the_file_is_written_to_the_folder_of_the_logger(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    last = fit(logger=logger)
    assert last.path == Path(logger.log_dir) / "checkpoints" / "last.ckpt"


@pytest.mark.filterwarnings("ignore:.*fast_dev_run")
def test_fast_dev_run_writes_no_file(tmp_path: Path) -> None:
    last = fit(fast_dev_run=True, default_root_dir=tmp_path)
    assert last.path is None
    assert not list(tmp_path.iterdir())
