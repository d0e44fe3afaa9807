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
    network = tiny.network(norm=False)  # nothing moves, nothing gets better
    module = Supervised(tiny.CLASSES, network=network, lr=0.0)
    tiny.trainer(callbacks=callbacks, **options).fit(module, tiny.data())
    return last


def step(path: Path | None) -> int:
    assert path is not None
    content = torch.load(path, weights_only=True)
    return int(content["global_step"])


def test_the_last_step_is_kept_though_nothing_got_better(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val_miou", mode="max")
    last = fit(
        callbacks=[best], enable_checkpointing=True, max_steps=7, val_check_interval=2
    )
    assert last.path == tmp_path / "last.ckpt"
    assert step(last.path) == 7
    assert step(Path(best.best_model_path)) == 2


def test_it_is_written_at_every_validation(tmp_path: Path) -> None:
    seen = []

    class Watch(LastCheckpoint):
        def on_validation_end(self, *arguments: Any) -> None:
            super().on_validation_end(*arguments)
            seen.append(step(self.path) if self.path else None)

    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(
        callbacks=[Watch()],
        max_steps=5,
        val_check_interval=2,
        num_sanity_val_steps=1,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, tiny.data())
    assert seen == [None, 2, 4]
    trainer.validate(module, tiny.data(), verbose=False)
    assert step(tmp_path / "checkpoints" / "last.ckpt") == 5


def test_it_lies_in_the_folder_of_the_run(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    last = fit(logger=logger)
    assert last.path == Path(logger.log_dir) / "checkpoints" / "last.ckpt"


@pytest.mark.filterwarnings("ignore:.*fast_dev_run")
def test_a_trial_run_writes_nothing(tmp_path: Path) -> None:
    last = fit(fast_dev_run=True, default_root_dir=tmp_path)
    assert last.path is None
    assert not list(tmp_path.iterdir())
