"""Write and read checkpoints, and prepare them for resuming."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_classmix.atomic import atomic_file

_Class = TypeVar("_Class")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint to a temporary file, flush it to disk, then rename it.

    An existing checkpoint of the same name stays whole until the new one is complete.
    For local files; addresses such as ``s3://`` are left to Lightning. Use
    ``Trainer(plugins=[AtomicCheckpointIO()])``; the command line adds it by itself.
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
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file:
            _save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        if os.name == "nt":  # folders cannot be opened there
            return
        # The file is complete; some network file systems cannot flush a folder.
        with suppress(OSError):
            _flush_folder(target.parent)


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _save(checkpoint: dict[str, Any], file: Any) -> None:
    """Save a checkpoint; raise the disk's error, which torch hides behind its own."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        hidden = error.__context__
        while hidden is not None and not isinstance(hidden, OSError):
            hidden = hidden.__context__
        raise hidden or error from None


def read_checkpoint(path: str | Path, name: str = "checkpoint") -> dict[str, Any]:
    """Read a checkpoint of this package to the CPU; code in the file is not run.

    Args:
        path: Checkpoint of ``fit`` or of the export format ``checkpoint``.
        name: Name of the argument that is the path, for error messages.

    Returns:
        The content, plain values and tensors by key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this package; the error says what
            the file is.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name} must be a file, got {path}")
    content = read_torch_file(path, name)
    fault = _describe_foreign(content)
    if fault is not None:
        raise ValueError(
            f"{name} must be written by a module of lightning_classmix, got {path},"
            f" {fault}"
        )
    checkpoint: dict[str, Any] = content
    return checkpoint


def read_torch_file(path: str | Path, name: str) -> Any:
    """Read a file that torch wrote to the CPU; code in the file is not run.

    Args:
        path: File that ``torch.save`` wrote.
        name: Name of the argument that is the path, for error messages.

    Raises:
        ValueError: If the file holds anything but tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # The texts of torch are long, and advise to run code that the file holds.
        reason = "it holds Python objects, or torch did not write it"
        if isinstance(error, OSError):
            reason = str(error.strerror)
        elif "PytorchStreamReader" in str(error) or isinstance(error, EOFError):
            reason = "it is incomplete"
        raise ValueError(
            f"{name} must be a file of tensors and plain values, got {path}: {reason}"
        ) from error


def _describe_foreign(content: Any) -> str | None:
    """Return what a file is that is no checkpoint of this package, and its use."""
    use = "; its weights can be given as model.student_weights"
    if isinstance(content, torch.Tensor):
        return f"a tensor of shape {tuple(content.shape)}"
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return f"a state dict, tensors by key{use}"
    if not isinstance(content.get("state_dict"), dict):
        return "a file without state_dict"
    for key in ("hyper_parameters", "datamodule_hyper_parameters", "class_paths"):
        if not isinstance(content.get(key, {}), dict):
            return f"a file whose {key} is a {type(content[key]).__name__}, not a dict"
    if "_instantiator" in content.get("hyper_parameters", {}):
        return "a file that names code to run"
    needed = ("class_paths", "base_seed", "pytorch-lightning_version")
    missing = [key for key in needed if key not in content]
    if missing:
        return f"a checkpoint without {' and '.join(missing)}{use}"
    for key, value in content["state_dict"].items():
        if not isinstance(key, str):
            return f"a file whose state_dict has the key {key!r}"
        if not isinstance(value, torch.Tensor):
            return f"a file whose state_dict holds a {type(value).__name__} as {key}"
        if value.layout != torch.strided or value.is_meta:
            return f"a file whose state_dict holds no plain values as {key}"
        if value.is_floating_point() and not value.isfinite().all():
            return f"a checkpoint with values that are not finite in {key}"
    return None


def class_paths(**parts: object) -> dict[str, str]:
    """Return the import path of each object's class, by the names of the arguments.

    None is left out, and so is a class defined in a script, which cannot be imported.
    """
    return {
        name: f"{type(part).__module__}.{type(part).__qualname__}"
        for name, part in parts.items()
        if part is not None and type(part).__module__ != "__main__"
    }


def imported_subclass(base: type[_Class], class_path: str) -> type[_Class] | None:
    """Return a subclass by its import path; None if it has not been imported.

    So a checkpoint cannot cause the import of a module.

    Args:
        base: Base class, or the class itself.
        class_path: Import path, as `class_paths` returns it.
    """
    classes: list[type[_Class]] = [base]
    for cls in classes:  # grows while it is read
        if f"{cls.__module__}.{cls.__qualname__}" == class_path:
            return cls
        classes += cls.__subclasses__()
    return None


def end_epoch(checkpoint: dict[str, Any]) -> None:
    """Make a checkpoint written at the end of an epoch resume with the next epoch.

    Lightning counts such an epoch as processed but not as completed. It would run the
    end of the epoch again, which skips one pass over the data.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return
    epoch = loop["epoch_progress"]
    batch = loop["epoch_loop.batch_progress"]
    if epoch["current"]["processed"] == epoch["current"]["completed"]:
        return
    for counts in (epoch["total"], epoch["current"]):
        counts["completed"] = counts["processed"]
    batch["current"] = dict.fromkeys(batch["current"], 0)
    batch["is_last_batch"] = False


def repeat_validation(checkpoint: dict[str, Any]) -> None:
    """Make a checkpoint resume with the validation that is due after its last step.

    For a checkpoint written after that step, before or in the middle of the validation.
    Lightning would leave it out, or go on with a part of the images.
    """
    fit_loop = checkpoint["loops"]["fit_loop"]
    batch = fit_loop["epoch_loop.batch_progress"]
    for counts in (batch["total"], batch["current"]):
        counts["completed"] = counts["processed"]
    # A validation that has read one batch and has finished none is restarted.
    read = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    progress = fit_loop["epoch_loop.val_loop.batch_progress"]
    progress["total"] |= read
    progress["current"] |= dict.fromkeys(read, 0)
    progress["is_last_batch"] = False


def adopt_arguments(resumed: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
    """Give a resumed optimizer the learning rates and weight decay of a new one.

    Nothing changes where they are equal. Parameter groups that were added during the
    earlier run stay as they are.

    Args:
        resumed: Optimizer restored from an earlier run, at any step of its schedule.
        new: Optimizer made from the arguments of this run, at step 0.
    """
    for group, wanted in zip(resumed.param_groups, new.param_groups, strict=False):
        group["weight_decay"] = wanted["weight_decay"]
        if group["initial_lr"] != wanted["initial_lr"]:
            share = group["lr"] / group["initial_lr"] if group["initial_lr"] else 1.0
            group["initial_lr"] = wanted["initial_lr"]
            group["lr"] = share * wanted["initial_lr"]
