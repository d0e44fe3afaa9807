"""Weights from local files: tensors only, and every misfit by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from timm.models import adapt_input_conv
from torch import Tensor, nn

# Layers of a classifier, which a segmentation encoder has no use for.
_CLASSIFIER = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")
_HEAD = "layer5."  # that of DeepLab-v2, in files of the whole network


def read_state(path: Path, name: str) -> dict[str, Tensor]:
    """Read the tensors of a file; code in it is not run.

    Args:
        path: A state dict, or a checkpoint that holds one as ``state_dict``.
        name: The argument that the path came by, for the error.

    Returns:
        Tensors by their keys.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but tensors by name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, got {path}")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} must be a file of tensors, got {path}: {reason}"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor)
        for key, value in state.items()
    ):
        raise ValueError(f"{name} must hold tensors by name, got {path} without")
    return state


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load a file into an encoder; a classifier in the file is left out.

    Args:
        encoder: The network's encoder. Where it takes other channels than RGB, the
            weights of its first layer are repeated and scaled.
        path: Key names of torchvision, timm or segmentation-models-pytorch.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not fit; it lists the keys.
    """
    state = read_state(path, "encoder_weights")
    own = encoder.state_dict()
    deeper = {f"model.{key}": value for key, value in state.items()}
    if not state.keys() & own.keys() and deeper.keys() & own.keys():
        state = deeper  # timm's encoders lie one level deeper
    state = {
        key: value
        for key, value in state.items()
        if key in own
        or not key.removeprefix("model.").startswith((*_CLASSIFIER, _HEAD))
    }
    for key in own.keys() & state.keys():
        if state[key].ndim == 4 and state[key].shape[1] == 3 != own[key].shape[1]:
            state[key] = adapt_input_conv(own[key].shape[1], state[key])

    # Old files lack the batch counters, which nothing depends on.
    missing = [
        key for key in own.keys() - state if not key.endswith("num_batches_tracked")
    ]
    misfits = [
        f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected or misfits:
        raise ValueError(
            f"encoder_weights must fit the encoder, got {path} with missing keys"
            f" {_few(missing)}, unexpected keys {_few(unexpected)} and shapes that"
            f" differ {_few(misfits)}"
        )
    nn.Module.load_state_dict(encoder, state, strict=False)


def load_head(head: nn.ModuleList, path: Path) -> bool:
    """Load the head of DeepLab-v2, where a file has one of as many classes.

    Args:
        head: Convolutions, in order of their dilations.
        path: A file of the whole network; ``layer5.conv2d_list.0.weight`` and so on
            are its head.

    Returns:
        Whether it was loaded.
    """
    prefix = f"{_HEAD}conv2d_list."
    state = {
        key.removeprefix(prefix): value
        for key, value in read_state(path, "encoder_weights").items()
        if key.startswith(prefix)
    }
    own = {key: value.shape for key, value in head.state_dict().items()}
    fits = own == {key: value.shape for key, value in state.items()}
    if fits:
        head.load_state_dict(state)
    elif state:
        rank_zero_info(f"the head starts anew: that in {path} is of other classes")
    return fits


def load_student(student: nn.Module, path: Path) -> None:
    """Load the student of an earlier run's checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its student is of another make; it lists the keys.
    """
    state = read_state(path, "student_weights")
    prefix = "student."
    try:
        student.load_state_dict(
            {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            }
        )
    except RuntimeError as error:
        raise ValueError(f"student_weights must fit, got {path}: {error}") from error


def _few(keys: Sequence[str]) -> str:
    shown = ", ".join(sorted(keys)[:5]) or "none"
    return f"{shown} and {len(keys) - 5} more" if len(keys) > 5 else shown
