"""Mask rules: which pixels of each image are pasted into the next image."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_classmix.ops.ranges import check_ranges
from lightning_classmix.ops.void import VOID, void_invalid_labels


def classmix_mask(
    label: Tensor,
    num_classes: int,
    *,
    rounding: Literal["floor", "ceil"] = "floor",
    exclude: Sequence[int] = (),
    ignore_index: int = VOID,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mark the pixels of a random half of the classes present in each label map.

    Of the n classes present in an image, ``n / 2`` are drawn without replacement,
    independently per image. Void pixels and the classes in ``exclude`` are never drawn,
    and do not count as present.

    Args:
        label: Class per pixel, int64 ``(B, H, W)``; values outside ``[0, C)`` are void.
        num_classes: Number of classes, C.
        rounding: How ``n / 2`` is rounded when n is odd, ``floor`` or ``ceil``.
        exclude: Classes that are never drawn, each in ``[0, C)``.
        ignore_index: Label value of void pixels.
        generator: Source of randomness, on ``label``'s device; the global one if None.

    Returns:
        True where the pixel's class was drawn, bool ``(B, H, W)``.

    Raises:
        ValueError: If ``label`` is not ``(B, H, W)``, ``rounding`` is unknown, or
            ``exclude`` holds a value outside ``[0, C)``.

    Example:
        >>> classmix_mask(torch.tensor([[[3, 3, 255]]]), num_classes=4)
        tensor([[[False, False, False]]])

    Source:
        Olsson et al. 2021, Alg. 1; n / 2 is rounded down as in the authors'
        trainSSL.py, and up in DACS (Tranheden et al. 2021).
    """
    if label.ndim != 3:
        raise ValueError(f"label must have shape (B, H, W), got {tuple(label.shape)}")
    if rounding not in ("floor", "ceil"):
        raise ValueError(f"rounding must be 'floor' or 'ceil', got {rounding!r}")
    if any(not 0 <= index < num_classes for index in exclude):
        raise ValueError(
            f"exclude must hold classes in [0, {num_classes}), got {tuple(exclude)}"
        )

    # Void is counted in bin C, which is then cleared: every gather is in bounds.
    bins = void_invalid_labels(
        label, num_classes, ignore_index=ignore_index, void=num_classes
    ).flatten(1)  # (B, HW)
    never = torch.tensor([*exclude, num_classes]).to(label.device, non_blocking=True)
    present = bins.new_zeros(len(bins), num_classes + 1, dtype=torch.bool)
    present = present.scatter(1, bins, True).index_fill(1, never, False)  # (B, C + 1)

    # Absent classes get score 2 and sort last, behind the present ones at random.
    score = torch.rand(present.shape, device=label.device, **_source(generator))
    rank = score.masked_fill(~present, 2.0).argsort(1).argsort(1)
    added = int(rounding == "ceil")
    drawn = rank < (present.sum(1, keepdim=True) + added) // 2
    return drawn.gather(1, bins).view_as(label)


def cutmix_mask(
    shape: tuple[int, int, int],
    *,
    area: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mark one random box in each image.

    The relative height is log-uniform in [``area``, 1], the width follows from the
    area, and the position is uniform over all positions where the box fits.

    Args:
        shape: Shape of the mask, ``(B, H, W)``.
        area: Share of the image that the box covers, up to rounding, in (0, 1).
        generator: Source of randomness, on ``device``; the global one if None.
        device: Device of the mask; torch's default device if None.

    Returns:
        True inside the box, bool ``(B, H, W)``.

    Raises:
        ValueError: If ``area`` is outside (0, 1).

    Example:
        >>> cutmix_mask((2, 1, 8), area=0.5).shape
        torch.Size([2, 1, 8])

    Source:
        French et al. 2020 (arXiv 1906.01916), section 3.3 and Appendix; the sides are
        drawn as in their mask generator.
    """
    check_ranges(area=area)

    batch, height, width = shape
    draw = torch.rand(3, batch, 1, device=device, **_source(generator))
    relative = torch.exp(draw[0] * math.log(area))  # relative height, (B, 1)
    box_height = (height * relative).round()
    box_width = (width * area / relative).round()
    top = ((height - box_height + 1) * draw[1]).floor()
    left = ((width - box_width + 1) * draw[2]).floor()

    row = torch.arange(height, device=device)
    column = torch.arange(width, device=device)
    in_rows = (row >= top) & (row < top + box_height)  # (B, H)
    in_columns = (column >= left) & (column < left + box_width)  # (B, W)
    return in_rows[:, :, None] & in_columns[:, None, :]


def cowmix_mask(
    shape: tuple[int, int, int],
    *,
    sigma: tuple[float, float] = (8.0, 32.0),
    share: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mark random smooth regions, like the patches of a cow, in each image.

    White noise is blurred by a Gaussian whose standard deviation is drawn per image.
    The threshold is the level that a normal variable of the same mean and standard
    deviation exceeds with probability ``share``.

    Args:
        shape: Shape of the mask, ``(B, H, W)``.
        sigma: Smallest and largest standard deviation of the blur in pixels, > 0, drawn
            log-uniformly.
        share: Expected share of marked pixels, in (0, 1).
        generator: Source of randomness, on ``device``; the global one if None.
        device: Device of the mask; torch's default device if None.

    Returns:
        True inside the regions, bool ``(B, H, W)``.

    Raises:
        ValueError: If ``share`` is outside (0, 1) or ``sigma`` is not an increasing
            pair of positive numbers.

    Example:
        >>> cowmix_mask((2, 16, 16), sigma=(1.0, 2.0)).dtype
        torch.bool

    Source:
        French et al. 2020 (arXiv 2003.12022), Alg. 1. At the border their blur reflects
        the noise; here the weights of the pixels inside are renormalized.
    """
    check_ranges(share=share, sigma=sigma)
    low, high = sigma
    if low > high:
        raise ValueError(f"sigma must be in increasing order, got {sigma}")

    batch, height, width = shape
    draw = torch.rand(batch, 1, 1, device=device, **_source(generator))
    noise = torch.randn(shape, device=device, **_source(generator))
    start, end = math.log(low), math.log(high)
    deviation = torch.exp(start + draw * (end - start))  # (B, 1, 1)

    blurred = _gaussian(height, deviation) @ noise @ _gaussian(width, deviation).mT
    std, mean = torch.std_mean(blurred, dim=(1, 2), keepdim=True, correction=0)
    level = math.sqrt(2) * torch.erfinv(torch.full_like(mean, 1 - 2 * share))
    return blurred > mean + std * level


def _gaussian(length: int, deviation: Tensor) -> Tensor:
    """Return the matrix that blurs a line of pixels, ``(B, length, length)``."""
    index = torch.arange(length, device=deviation.device)
    distance = (index[:, None] - index[None, :]) / deviation
    return (-0.5 * distance.square()).softmax(2)


def _source(generator: torch.Generator | None) -> dict[str, Any]:
    """Return ``generator`` as a keyword argument, if there is a generator.

    With dynamic shapes ``torch.compile`` refuses ``generator=None`` in `torch.rand`.
    """
    return {} if generator is None else {"generator": generator}
