"""Weighted losses per pixel, averaged over the pixels that are not void."""

import torch
from torch import Tensor
from torch.nn import functional

from lightning_classmix.ops.void import VOID, void_invalid_labels


def cross_entropy(
    logits: Tensor,
    label: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = VOID,
) -> Tensor:
    """Average the weighted cross-entropy over the pixels that are not void.

    The sum of weight times cross-entropy is divided by the *number* of pixels that are
    not void, not by the sum of weights. Without any such pixel the loss is 0.

    Args:
        logits: Class scores, float ``(B, C, H, W)``; computed in at least float32.
        label: Class per pixel, int64 ``(B, H, W)``; values outside ``[0, C)`` are void.
        weight: Factor per pixel, float ``(B, H, W)``; 1 if None.
        ignore_index: Label value of void pixels.

    Returns:
        Loss in nats per pixel, float scalar.

    Raises:
        ValueError: If the shapes do not match.

    Example:
        >>> cross_entropy(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 255]]]))
        tensor(0.6931)

    Source:
        Olsson et al. 2021, eq. 2; divided as in the authors' trainSSL.py, so that a
        batch of low confidence has a small loss.
    """
    _check_shapes(logits, (len(logits), *logits.shape[2:]), label=label, weight=weight)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    label = void_invalid_labels(
        label, logits.shape[1], ignore_index=ignore_index, void=-100
    )
    loss = functional.cross_entropy(precise, label, ignore_index=-100, reduction="none")
    if weight is not None:
        loss = loss * weight
    return loss.sum() / (label != -100).sum().clamp(min=1)


def mean_squared_error(
    logits: Tensor,
    probabilities: Tensor,
    *,
    weight: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Average the weighted squared distance between two class distributions.

    The mean is taken over the classes and the valid pixels. Without any valid pixel the
    loss is 0.

    Args:
        logits: The student's class scores, float ``(B, C, H, W)``; computed in at least
            float32.
        probabilities: Target distribution, float ``(B, C, H, W)`` in [0, 1]: the mixed
            softmax of the teacher.
        weight: Factor per pixel, float ``(B, H, W)``; 1 if None.
        valid: False where the image was padded, bool ``(B, H, W)``; all True if None.

    Returns:
        Loss, float scalar in [0, 1] for weights in [0, 1].

    Raises:
        ValueError: If the shapes do not match.

    Example:
        >>> target = torch.tensor([[[[1.0]], [[0.0]]]])
        >>> mean_squared_error(torch.zeros(1, 2, 1, 1), target)
        tensor(0.2500)

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), section 3; the authors'
        trainSSL.py with ``consistency_loss`` "MSE".
    """
    per_pixel = (len(logits), *logits.shape[2:])
    _check_shapes(logits, per_pixel, weight=weight, valid=valid)
    if probabilities.shape != logits.shape:
        raise ValueError(
            f"probabilities must have the shape of logits, {tuple(logits.shape)},"
            f" got {tuple(probabilities.shape)}"
        )
    precise = torch.promote_types(logits.dtype, torch.float32)
    error = (logits.softmax(1, dtype=precise) - probabilities).square().mean(1)
    if weight is not None:
        error = error * weight
    if valid is None:
        return error.mean()
    return error.where(valid, 0.0).sum() / valid.sum().clamp(min=1)


def _check_shapes(
    logits: Tensor, per_pixel: tuple[int, ...], **others: Tensor | None
) -> None:
    if logits.ndim != 4:
        raise ValueError(
            f"logits must have shape (B, C, H, W), got {tuple(logits.shape)}"
        )
    for name, other in others.items():
        if other is not None and other.shape != per_pixel:
            raise ValueError(
                f"{name} must have shape {per_pixel} for logits of shape"
                f" {tuple(logits.shape)}, got {tuple(other.shape)}"
            )
