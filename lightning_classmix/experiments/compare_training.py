"""Train and score one run of a comparison: a method, a label count and a seed."""

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_classmix.atomic import write_json
from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.callbacks.stop_on_signal import StopOnSignal
from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.experiments.compare_checkpoint import IntervalCheckpoint
from lightning_classmix.experiments.compare_data import build_data, split_data
from lightning_classmix.experiments.compare_run import Run
from lightning_classmix.modules.supervised import Supervised

CHECKPOINT_INTERVAL = 200
"""Optimizer steps between two checkpoints: a killed process loses fewer steps."""


def build_module(run: Run, data: SemiSupervisedDataModule) -> Supervised:
    """Build the module of a run; equal seeds give equal initial weights.

    Raises:
        ValueError: If an argument is out of its range, or contradicts the data.
    """
    described = ("num_classes", "class_names", "palette", "mean", "std")
    arguments: dict[str, Any] = {name: getattr(data, name) for name in described}
    arguments["in_channels"] = len(data.mean)
    given = {**run.setup.shared, **run.method.init_args}
    for name, value in arguments.items():
        if name in given and json.dumps(given[name]) != json.dumps(value):
            raise ValueError(
                f"{name} must be that of the data, {value}, got {given[name]}; leave it"
                " out"
            )
    arguments |= {"lr": run.lr, **given}
    seed_everything(run.seed, verbose=False)
    return run.method.module_class()(**arguments)


def execute(run: Run, on_step: Callable[[int], None]) -> None:
    """Train a run, from its last checkpoint if there is one, and write its result.

    The score is that of the last checkpoint. A trial whose loss becomes non-finite has
    no score.

    Args:
        run: The run.
        on_step: Function that is called with the number of finished steps.

    Raises:
        FloatingPointError: If the loss of a run that is no trial becomes non-finite.
        Stopped: If a signal stopped the run; its checkpoint is written.
    """
    checkpoint = run.folder / "last.ckpt"
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(run.folder / "settings.json", run.settings())
    with _quiet():
        data = build_data(run.setup.data_class, run.setup.data_arguments)
        held_out = split_data(
            data, run.setup.out / "lists", labels=run.labels, seed=run.seed
        )
        scored = held_out if run.trial else data.val
        module = build_module(run, data)
        if type(module) is Supervised:  # reading unlabeled images would take time
            images = len(data.unlabeled or ())
            passed = max(1, images // data.unlabeled_batch_size)
            data.steps_per_epoch = data.steps_per_epoch or passed
            data.unlabeled = None
        try:
            _fit(run, module, data, checkpoint, on_step)
        except FloatingPointError:
            if not run.trial:
                raise
            write_json(run.folder / "result.json", {"miou": None})
            return
        data.val = scored
        evaluator = Trainer(devices=1, logger=False, enable_progress_bar=False)
        evaluator.validate(
            module, data.val_dataloader(), ckpt_path=checkpoint, verbose=False
        )
    write_json(run.folder / "result.json", _result(module))
    if run.trial:
        checkpoint.unlink()


def _fit(
    run: Run,
    module: Supervised,
    data: SemiSupervisedDataModule,
    checkpoint: Path,
    on_step: Callable[[int], None],
) -> None:
    resumed = checkpoint.exists()
    if resumed:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        if state["global_step"] == run.steps:
            return
    callbacks: list[Callback] = [
        IntervalCheckpoint(checkpoint, interval=CHECKPOINT_INTERVAL, on_step=on_step),
        StopOnSignal(checkpoint),
    ]
    if run.method.decay is not None:
        callbacks.append(EMATeacher(run.method.decay))
    trainer = Trainer(
        max_steps=run.steps,
        max_epochs=-1,
        devices=1,
        limit_val_batches=0,
        logger=TensorBoardLogger(run.folder, name="", version=""),
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data, ckpt_path=checkpoint if resumed else None)


def _result(module: Supervised) -> dict[str, Any]:
    """Return the scores of the last validation, in [0, 1]; None where undefined."""

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    networks = {
        network: {
            "miou": plain(scores["miou"].item()),
            "accuracy": plain(scores["accuracy"].item()),
            "iou": {
                name: plain(iou)
                for name, iou in zip(
                    module.class_names, scores["iou"].tolist(), strict=True
                )
            },
        }
        for network, scores in module.scores.items()
    }
    return networks[module.evaluate] | {
        "evaluate": module.evaluate,
        "networks": networks,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Lightning's notes about the hardware and harmless warnings."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for harmless in (
                "The '.*_dataloader' does not have many workers",
                "`isinstance.treespec",  # Lightning's use of a renamed torch function
                "The number of training batches",
                "(?s)Be aware that when using `ckpt_path`",
                ".* holds .* images for batches of",  # few labels are meant
            ):
                warnings.filterwarnings("ignore", harmless)
            yield
    finally:
        logger.setLevel(level)
