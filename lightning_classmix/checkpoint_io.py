"""Checkpoints that are whole or not there, whenever the power fails."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, bring it to the disk, then rename it.

    A checkpoint of that name which is there already stays whole until the new one is.
    For local files: ``Trainer(plugins=[AtomicCheckpointIO()])``; the command line does
    so by itself. Addresses such as ``s3://`` go Lightning's own way.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ANN401 - as in Lightning
    ) -> None:
        """Save ``checkpoint`` at ``path``."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f".{place.name}.part")
        try:
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(place)
        finally:
            beside.unlink(missing_ok=True)
        if os.name == "nt":  # where a folder cannot be opened
            return
        folder = os.open(place.parent, os.O_RDONLY)  # the new name, too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
