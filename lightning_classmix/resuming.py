"""What a run that goes on from a checkpoint takes over, and what it does not."""

from typing import Any

import torch


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
