"""Read network weights from checkpoints, state dicts, safetensors and smp folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from safetensors.torch import load_file
from torch import Tensor

from lightning_classmix.checkpoints import read_torch_file
from lightning_classmix.models.network import SegmentationNetwork

# Prefixes of the keys of one network within a file, in the order of preference.
_PREFIXES = ("student.", "teacher.network.", "teacher.", "module.", "model.", "")


def read_state(path: Path, name: str) -> dict[str, Tensor]:
    """Read the tensors of a file; code in the file is not run.

    Args:
        path: A state dict, a checkpoint with a state dict as ``state_dict``, a
            safetensors file, or a folder of segmentation-models-pytorch with
            ``config.json`` and ``model.safetensors``.
        name: Name of the argument that is the path, for error messages.

    Returns:
        Tensors by key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it contains anything but tensors by key, or a value that is not
            finite.
    """
    return _read(path, name)[0]


def _read(path: Path, name: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file by key, and a description of the file."""
    if path.is_dir() and (path / "model.safetensors").is_file():
        config = path / "config.json"
        values = json.loads(config.read_text()) if config.is_file() else {}
        kind = f"a folder of {values.get('_model_class', 'an unknown architecture')}"
        encoder = values.get("encoder_name")
        kind += f" with encoder {encoder!r}" if encoder else ""
        return _load(path / "model.safetensors", name), kind
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, got {path}")
    content = _load(path, name)
    state: Any = content
    if isinstance(content, dict):
        state = content.get("state_dict", content)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor)
        for key, value in state.items()
    ):
        raise ValueError(f"{name} must be a file of tensors by key, got {path}")
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f"{name} must hold finite values, got {path} with NaN or infinity in"
                f" {key}"
            )
    if "class_paths" in content:
        arguments = content.get("hyper_parameters", {})
        kind = f"a checkpoint of {content['class_paths'].get('model', 'a module')}"
        if "model" in arguments:
            kind += f" with model {arguments['model']!r}"
        if "encoder" in arguments:
            kind += f" and encoder {arguments['encoder']!r}"
        return state, kind
    kind = f"a file of {len(state)} tensors"
    if state:
        key, value = next(iter(state.items()))
        kind += f" such as {key} {tuple(value.shape)}"
    return state, kind


def _load(path: Path, name: str) -> Any:
    if path.suffix != ".safetensors":
        return read_torch_file(path, name)
    try:
        return load_file(path)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} must be a file of tensors, got {path}: {reason}"
        ) from error


def load_student(student: SegmentationNetwork, path: Path) -> None:
    """Load the weights of one network of a file.

    The keys may have the prefix of a student or teacher, or none. The layers that
    return one channel per class keep their initial weights, with a warning, if the
    file has another number of classes.

    Args:
        student: Network to load into.
        path: Any file or folder that `read_state` reads. The student is read from a
            checkpoint of this package.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not fit the network; the error describes the file.
    """
    tensors, kind = _read(path, "student_weights")
    own = student.state_dict()
    state = _best_match(tensors, own)
    head = [
        key
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
        and own[key].shape[1:] == state[key].shape[1:]
        and own[key].shape[:1] == (student.num_classes,)
    ]
    misfits = [
        key
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape and key not in head
    ]
    # Old files lack the batch counters, which are not used.
    missing = [
        key for key in own.keys() - state if not key.endswith("num_batches_tracked")
    ]
    unexpected = [*(state.keys() - own.keys())]
    if missing or unexpected or misfits:
        raise ValueError(
            f"student_weights must fit the student, got {path}, {kind}, with missing"
            f" keys {few(missing)}, unexpected keys {few(unexpected)} and shapes that"
            f" differ {few(misfits)}"
        )
    if head:
        rank_zero_warn(
            f"student_weights has another number of classes than {student.num_classes}:"
            f" {few(head)} keep their initial weights"
        )
    student.load_state_dict(
        {key: value for key, value in state.items() if key not in head}, strict=False
    )


def _best_match(
    tensors: dict[str, Tensor], own: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors under the prefix that has most keys of the network."""
    best: dict[str, Tensor] = tensors
    most = 0
    for prefix in _PREFIXES:
        found = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        inner = {f"network.{key}": value for key, value in found.items()}
        for candidate in (found, inner):
            count = len(candidate.keys() & own.keys())
            if count > most:
                best = candidate
                most = count
    return best


def few(keys: Sequence[str]) -> str:
    """Return the first five keys and the number of the others, for error messages.

    Example:
        >>> few(["b", "a"]), few([])
        ('a, b', 'none')
    """
    listed = ", ".join(sorted(keys)[:5]) or "none"
    return f"{listed} and {len(keys) - 5} more" if len(keys) > 5 else listed
