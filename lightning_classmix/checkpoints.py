"""Write checkpoint files atomically; prepare a checkpoint for resuming."""

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
        storage_options: Any = None,
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


def class_paths(**parts: object) -> dict[str, str]:
    """Return where the classes of objects are to be imported from, by their names.

    None, and a class of a script, which nothing can import, are left out.
    """
    return {
        name: f"{type(part).__module__}.{type(part).__qualname__}"
        for name, part in parts.items()
        if part is not None and type(part).__module__ != "__main__"
    }


def end_epoch(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint that was written at the end of an epoch begin with the next one.

    Lightning counts such an epoch as processed and not as completed, and would go
    through its end again, which skips a pass of the data.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return
    epoch, batch = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if epoch["current"]["processed"] == epoch["current"]["completed"]:
        return
    for counts in (epoch["total"], epoch["current"]):
        counts["completed"] = counts["processed"]
    batch["current"] = dict.fromkeys(batch["current"], 0)
    batch["is_last_batch"] = False


def adopt_arguments(resumed: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
    """Give a resumed optimizer the rates and the decay of a new one.

    Where nothing differs, nothing changes. Groups that joined on the way stay as they
    are.

    Args:
        resumed: Optimizer with the state of an earlier run, somewhere in its schedule.
        new: Optimizer that the arguments of this run make, at step 0.
    """
    for group, wanted in zip(resumed.param_groups, new.param_groups, strict=False):
        group["weight_decay"] = wanted["weight_decay"]
        if group["initial_lr"] != wanted["initial_lr"]:
            share = group["lr"] / group["initial_lr"] if group["initial_lr"] else 1.0
            group["initial_lr"] = wanted["initial_lr"]
            group["lr"] = share * wanted["initial_lr"]
