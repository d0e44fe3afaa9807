"""Load a module of any class from its checkpoint."""

import importlib
from pathlib import Path
from typing import Any

import torch

from lightning_classmix.modules.evaluation import EvaluationModule


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this package to the CPU; code in the file is not run.

    Args:
        path: Checkpoint of ``fit`` or of the export format ``checkpoint``.

    Returns:
        The content, plain values and tensors by key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this package.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"checkpoint must be a file, got {path}")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"checkpoint must contain tensors and plain values, got {path}: {reason}"
        ) from error
    if not isinstance(content, dict) or "model" not in content.get("class_paths", {}):
        raise ValueError(
            f"checkpoint must be written by a module of lightning_classmix, got {path}"
        )
    return content


def load_module(path: str | Path) -> tuple[EvaluationModule, dict[str, Any]]:
    """Load a module from its checkpoint, on the CPU and in eval mode.

    Args:
        path: Checkpoint of ``fit`` or of the export format ``checkpoint``.

    Returns:
        The module, and the content of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this package, or the module was
            trained with ``network=``, which a checkpoint does not contain.
    """
    content = read_checkpoint(path)
    class_path = content["class_paths"]["model"]
    package, _, name = class_path.rpartition(".")
    try:
        kind: type[EvaluationModule] = getattr(importlib.import_module(package), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"checkpoint must be of a class that can be imported, got {class_path} in"
            f" {path}"
        ) from error
    try:
        module = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint must fit the model of its arguments, got {path}; if it was"
            f" trained with network=, call {name}.load_from_checkpoint(path,"
            " network=...) and use the module"
        ) from error
    return module.eval(), content
