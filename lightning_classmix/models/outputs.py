"""Take logits out of the output of a network."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def extract_logits(output: Any) -> Tensor:
    """Return the logits in the output of a network.

    Args:
        output: Logits, float ``(B, C, h, w)``; a dict with logits as ``logits`` or
            ``out``; or a tuple or list whose first element they are.

    Raises:
        TypeError: If the output contains no logits.

    Example:
        >>> import torch
        >>> extract_logits({"out": torch.zeros(1, 5, 8, 8)}).shape
        torch.Size([1, 5, 8, 8])
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("logits", output.get("out"))
    elif isinstance(output, (tuple, list)) and output:
        logits = output[0]
    if not isinstance(logits, Tensor) or logits.ndim != 4:
        raise TypeError(
            "network must return logits (B, C, H, W), a dict with logits as 'logits' or"
            f" 'out', or a tuple that starts with logits, got {_describe(output)}"
        )
    return logits


def auxiliary_logits(output: Any, num_classes: int) -> list[Tensor]:
    """Return the logits of auxiliary heads in the output of a network.

    Args:
        output: A dict with auxiliary logits, float ``(B, C, h, w)`` or a list of them,
            under keys that begin with ``aux``; or a tuple or list, whose elements of
            this shape after the first they are.
        num_classes: Number of classes, C.

    Raises:
        ValueError: If there are none, or one has another number of channels.
    """
    found: list[Any] = []
    if isinstance(output, Mapping):
        for key, value in output.items():
            if str(key).startswith("aux"):
                found += value if isinstance(value, (tuple, list)) else [value]
    elif isinstance(output, (tuple, list)):
        found = [value for value in output[1:] if getattr(value, "ndim", 0) == 4]
    if not found:
        raise ValueError(
            "aux_weight must be 0 for a network without auxiliary logits, got an output"
            f" of {_describe(output)}; return them as 'aux' in a dict, or in a tuple"
            " after the logits"
        )
    for value in found:
        if getattr(value, "ndim", 0) != 4 or value.shape[1] != num_classes:
            raise ValueError(
                f"auxiliary logits must have shape (B, {num_classes}, H, W), got"
                f" {_describe(value)}"
            )
    return found


def _describe(output: Any) -> str:
    """Return the kind of an output, with keys, types or shape, for error messages."""
    kind = type(output).__name__
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, Mapping):
        keys = ", ".join(map(str, output)) or "none"
        hint = ""
        if "masks_queries_logits" in output:
            hint = "; docs/networks.md shows a wrapper for mask queries"
        return f"{kind} with keys {keys}{hint}"
    if isinstance(output, (tuple, list)):
        return (
            f"{kind} of {', '.join(type(part).__name__ for part in output) or 'none'}"
        )
    return kind
