"""The teacher's answer as a label map, and how much each pixel of it counts."""

from typing import Literal, get_args

import torch
from torch import Tensor

PixelWeighting = Literal[
    "confident_share", "confident_share_per_image", "confident_pixels", "uniform"
]


def pseudo_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most probable class of each pixel, and its probability.

    The probability is computed in at least float32: bfloat16 would round 0.967 up to
    0.968, past the usual threshold.

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
    confidence, label = logits.softmax(1, dtype=precise).max(1)
    return confidence, label


def pixel_weight(
    confidence: Tensor,
    kind: PixelWeighting,
    *,
    threshold: float = 0.968,
    valid: Tensor | None = None,
) -> Tensor:
    """Weigh each pixel's loss by the teacher's confidence.

    ``confident_share`` gives every pixel the share of the batch's valid pixels that
    reach the threshold, ``confident_share_per_image`` that of its own image;
    ``confident_pixels`` gives 1 to those and 0 to the others; ``uniform`` gives 1.
    Pixels that are not valid weigh 0 and count nowhere.

    Args:
        confidence: Largest class probability, float ``(B, H, W)`` in [0, 1].
        kind: One of the four rules.
        threshold: Confidence from which on a pixel counts as confident, in [0, 1].
        valid: False where the image was padded or the label is void, bool
            ``(B, H, W)``; all True if None.

    Returns:
        Factor per pixel, ``confidence``'s dtype, ``(B, H, W)`` in [0, 1].

    Raises:
        ValueError: If ``kind`` does not exist or ``confidence`` is not ``(B, H, W)``.

    Example:
        >>> pixel_weight(torch.tensor([[[0.99, 0.5]]]), "confident_share")
        tensor([[[0.5000, 0.5000]]])

    Source:
        ``confident_share`` is the authors' default ("threshold_uniform" in their
        trainSSL.py), ``confident_pixels`` their "threshold"; the share per image is
        ours: a hard image does not take weight from an easy one.
    """
    if confidence.ndim != 3:
        raise ValueError(
            f"confidence must have shape (B, H, W), got {tuple(confidence.shape)}"
        )
    counts = torch.ones_like(confidence) if valid is None else valid.to(confidence)
    if kind == "uniform":
        return counts
    confident = (confidence >= threshold) * counts
    if kind == "confident_pixels":
        return confident
    if kind == "confident_share":
        return counts * (confident.sum() / counts.sum().clamp(min=1))
    if kind == "confident_share_per_image":
        confident, known = confident.flatten(1).sum(1), counts.flatten(1).sum(1)
        return counts * (confident / known.clamp(min=1))[:, None, None]
    raise ValueError(f"kind must be one of {get_args(PixelWeighting)}, got {kind!r}")
