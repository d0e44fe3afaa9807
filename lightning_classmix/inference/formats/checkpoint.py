"""The export format ``checkpoint``: a checkpoint of one network, for inference."""

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning

from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.modules.segmentation import SegmentationModule
from lightning_classmix.modules.supervised import Supervised

# Arguments that only a training reads.
_TRAINING = {"class_weights", "encoder_weights", "student_weights"}


def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``model.ckpt``: a `Supervised` module without optimizer and teacher."""
    known = {
        name
        for parent in Supervised.__mro__
        if issubclass(parent, SegmentationModule)
        for name in inspect.signature(parent).parameters
    }
    arguments: dict[str, Any] = {
        name: value for name, value in exported.module.hparams.items() if name in known
    }
    state = exported.network.state_dict()
    content: dict[str, Any] = {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": exported.checkpoint.get("epoch", exported.module.current_epoch),
        "global_step": exported.metadata["step"],
        "score": exported.metadata["score"],
        "base_seed": exported.checkpoint.get("base_seed", 0),
        "preprocessing": asdict(exported.module.preprocessing),
        "network": getattr(exported.module, "network_class", None),
        "hyper_parameters": arguments | dict.fromkeys(_TRAINING),
        "state_dict": {f"student.{key}": value for key, value in state.items()},
        "class_paths": {
            **exported.checkpoint.get("class_paths", {}),
            "model": f"{Supervised.__module__}.{Supervised.__qualname__}",
        },
    }
    for key in ("datamodule_hyper_parameters", "datamodule_hparams_name"):
        if key in exported.checkpoint:
            content[key] = exported.checkpoint[key]
    AtomicCheckpointIO().save_checkpoint(content, folder / "model.ckpt")
    return ["model.ckpt"]
