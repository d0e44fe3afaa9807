"""Pseudo-labels from logits, and the weight of each pixel by its confidence."""

from typing import Literal, get_args

import torch
from torch import Tensor

PixelWeighting = Literal[
    "confident_share", "confident_share_per_image", "confident_pixels", "uniform"
]

_BLOCK = 2**17
"""Logits that a thread processes at once on the CPU: 512 KB in float32."""


def pseudo_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of each pixel's most probable class, and that class.

    The probability is computed in at least float32: bfloat16 would round 0.967 up to
    0.968, past the default threshold.

    Args:
        logits: Class scores, float ``(B, C, H, W)``.

    Returns:
        ``confidence``, float32 (float64 for float64 logits) ``(B, H, W)`` in [0, 1],
        and ``label``, int64 ``(B, H, W)`` in ``[0, C)``.

    Raises:
        ValueError: If ``logits`` is not ``(B, C, H, W)``.

    Example:
        >>> confidence, label = pseudo_label(torch.tensor([[[[0.0]], [[100.0]]]]))
        >>> confidence.item(), label.item()
        (1.0, 1)

    Source:
        Olsson et al. 2021, section 3.2.
    """
    if logits.ndim != 4:
        raise ValueError(
            f"logits must have shape (B, C, H, W), got {tuple(logits.shape)}"
        )
    precise = torch.promote_types(logits.dtype, torch.float32)
    if torch.compiler.is_compiling():
        # The compiler fuses these, but not softmax and max.
        logits = logits.to(precise)
        largest, label = logits.max(1)
        confidence = (logits - largest[:, None]).exp().sum(1).reciprocal()
        # An infinite or NaN logit makes all probabilities NaN: then class 0, as below.
        # On the CPU the compiler vectorizes this comparison, but not `isnan`.
        nan = confidence != confidence
        return confidence, label.masked_fill(nan, 0)
    if logits.device.type != "cpu":
        confidence, label = logits.softmax(1, dtype=precise).max(1)
        return confidence, label
    # On the CPU by blocks of pixels, whose probabilities stay in the cache.
    batch, classes, height, width = logits.shape
    pixels = logits.flatten(2)  # (B, C, HW)
    confidence = pixels.new_empty((batch, height * width), dtype=precise)
    label = pixels.new_empty((batch, height * width), dtype=torch.int64)
    step = max(1, _BLOCK * torch.get_num_threads() // max(1, batch * classes))
    for start in range(0, height * width, step):
        block = slice(start, start + step)
        probability = pixels[:, :, block].softmax(1, dtype=precise)
        confidence[:, block], label[:, block] = probability.max(1)
    shape = (batch, height, width)
    return confidence.view(shape), label.view(shape)


def confident_share(
    confidence: Tensor, *, threshold: float = 0.968, valid: Tensor | None = None
) -> Tensor:
    """Return the share of the batch's valid pixels whose confidence is high.

    Without any valid pixel the share is 0.

    Args:
        confidence: Largest class probability, float ``(B, H, W)`` in [0, 1].
        threshold: Smallest confidence that counts as high, in [0, 1].
        valid: False where the image was padded or the label is void, bool
            ``(B, H, W)``; all True if None.

    Returns:
        Share of the valid pixels, ``confidence``'s dtype, scalar in [0, 1].

    Raises:
        ValueError: If ``confidence`` is not ``(B, H, W)``.

    Example:
        >>> confident_share(torch.tensor([[[0.99, 0.5]]]))
        tensor(0.5000)

    Source:
        The authors' trainSSL.py, the weight "threshold_uniform".
    """
    counts = _counts(confidence, valid)
    confident = (confidence >= threshold) * counts
    return confident.sum() / counts.sum().clamp(min=1)


def pixel_weight(
    confidence: Tensor,
    kind: PixelWeighting,
    *,
    threshold: float = 0.968,
    valid: Tensor | None = None,
) -> Tensor:
    """Return the weight of each pixel's loss, from the teacher's confidence.

    ``confident_share`` gives every pixel the share of the batch's valid pixels that
    reach the threshold, ``confident_share_per_image`` the share within its own image;
    ``confident_pixels`` gives 1 to the pixels that reach it and 0 to the others;
    ``uniform`` gives 1. Pixels that are not valid get 0 and do not count in any share.

    Args:
        confidence: Largest class probability, float ``(B, H, W)`` in [0, 1].
        kind: ``confident_share``, ``confident_share_per_image``, ``confident_pixels``
            or ``uniform``.
        threshold: Smallest confidence that counts as high, in [0, 1].
        valid: False where the image was padded or the label is void, bool
            ``(B, H, W)``; all True if None.

    Returns:
        Factor per pixel, ``confidence``'s dtype, ``(B, H, W)`` in [0, 1].

    Raises:
        ValueError: If ``kind`` is unknown or ``confidence`` is not ``(B, H, W)``.

    Example:
        >>> pixel_weight(torch.tensor([[[0.99, 0.5]]]), "confident_share")
        tensor([[[0.5000, 0.5000]]])

    Source:
        ``confident_share`` is the authors' default ("threshold_uniform" in their
        trainSSL.py), ``confident_pixels`` their "threshold". The share per image is
        ours: an uncertain image does not reduce the weight of the others.
    """
    counts = _counts(confidence, valid)
    if kind == "uniform":
        return counts
    if kind == "confident_share":
        share = confident_share(confidence, threshold=threshold, valid=valid)
        return counts * share
    confident = (confidence >= threshold) * counts
    if kind == "confident_pixels":
        return confident
    if kind == "confident_share_per_image":
        shares = confident.flatten(1).sum(1) / counts.flatten(1).sum(1).clamp(min=1)
        return counts * shares[:, None, None]
    raise ValueError(f"kind must be one of {get_args(PixelWeighting)}, got {kind!r}")


def _counts(confidence: Tensor, valid: Tensor | None) -> Tensor:
    """Return 1 for valid pixels and 0 for the others, float ``(B, H, W)``."""
    if confidence.ndim != 3:
        raise ValueError(
            f"confidence must have shape (B, H, W), got {tuple(confidence.shape)}"
        )
    return torch.ones_like(confidence) if valid is None else valid.to(confidence)
