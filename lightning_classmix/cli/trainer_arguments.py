"""Check the arguments of the Trainer that Lightning would accept or misunderstand."""

import os
from pathlib import Path
from typing import Any

from lightning_classmix.ops.ranges import check_ranges

_CHECKED = (
    "accumulate_grad_batches",
    "check_val_every_n_epoch",
    "gradient_clip_val",
    "log_every_n_steps",
    "val_check_interval",
)
_CPU_DEVICES = 8


def check_trainer_arguments(trainer: Any, seed: int | bool) -> None:
    """Check arguments before data are read and networks are built.

    Args:
        trainer: The arguments of the Trainer, by name.
        seed: The argument ``seed_everything``; True draws a seed.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not isinstance(seed, bool):
        check_ranges(seed_everything=seed)
    for name in _CHECKED:
        value = trainer.get(name)
        if isinstance(value, (int, float)):
            check_ranges(**{name: value})
    root = Path(trainer.get("default_root_dir") or ".")
    if root.exists() and not root.is_dir():
        raise ValueError(f"default_root_dir must be a folder, got the file {root}")
    devices = trainer.get("devices")
    if trainer.get("accelerator") == "cpu" and str(devices).isdecimal():
        # Each device is a process.
        limit = max(_CPU_DEVICES, os.cpu_count() or 1)
        if not 1 <= int(devices) <= limit:
            raise ValueError(
                f"devices must be in [1, {limit}] on the CPU, got {devices}"
            )
