"""Which pixels move, and the move itself: two steps, so that any mask will do."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

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
    independently per image. Void and the classes in ``exclude`` neither count nor move.

    Args:
        label: Class per pixel, int64 ``(B, H, W)``, in ``[0, C)``; all else is void.
        num_classes: Number of classes, C.
        rounding: What becomes of ``n / 2`` for an odd n.
        exclude: Classes that are never drawn, each in ``[0, C)``.
        ignore_index: Index of void pixels.
        generator: Source of randomness, on ``label``'s device; the global one if None.

    Returns:
        True where the pixel's class was drawn, bool ``(B, H, W)``.

    Raises:
        ValueError: If ``label`` is not ``(B, H, W)``, or ``rounding`` or a class in
            ``exclude`` does not exist.

    Example:
        >>> classmix_mask(torch.tensor([[[3, 3, 255]]]), num_classes=4)
        tensor([[[False, False, False]]])

    Source:
        Olsson et al. 2021, Alg. 1; n / 2 is rounded down as in the authors'
        trainSSL.py. Rounding up is DACS's (Tranheden et al. 2021).
    """
    if label.ndim != 3:
        raise ValueError(f"label must have shape (B, H, W), got {tuple(label.shape)}")
    if rounding not in ("floor", "ceil"):
        raise ValueError(f"rounding must be 'floor' or 'ceil', got {rounding!r}")
    if any(not 0 <= index < num_classes for index in exclude):
        raise ValueError(
            f"exclude must hold classes in [0, {num_classes}), got {tuple(exclude)}"
        )

    # Void gets bin C, which is then struck out, so that every gather is in bounds.
    bins = void_invalid_labels(
        label, num_classes, ignore_index=ignore_index, void=num_classes
    ).flatten(1)  # (B, HW)
    struck = torch.tensor([*exclude, num_classes]).to(label.device, non_blocking=True)
    present = bins.new_zeros(len(bins), num_classes + 1, dtype=torch.bool)
    present = present.scatter(1, bins, True).index_fill(1, struck, False)  # (B, C + 1)

    # Absent classes hold a losing ticket: present ones rank first, in random order.
    ticket = torch.rand(present.shape, generator=generator, device=label.device)
    rank = ticket.masked_fill(~present, 2.0).argsort(1).argsort(1)
    odd_too = int(rounding == "ceil")
    drawn = rank < (present.sum(1, keepdim=True) + odd_too) // 2
    return drawn.gather(1, bins).view_as(label)


def cutmix_mask(
    shape: tuple[int, int, int],
    *,
    area: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mark one random box in each image.

    Height and width vary, log-uniformly, while their product stays ``area``; the place
    is uniform among those where the box fits.

    Args:
        shape: ``(B, H, W)``.
        area: Share of the image that the box covers, in (0, 1), up to rounding.
        generator: Source of randomness, on ``device``; the global one if None.
        device: Where the mask is made.

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
    if not 0 < area < 1:
        raise ValueError(f"area must be in (0, 1), got {area}")

    batch, height, width = shape
    draw = torch.rand(3, batch, 1, generator=generator, device=device)
    # The relative height is log-uniform in [area, 1]; the width makes up for it.
    relative = torch.exp(draw[0] * math.log(area))  # (B, 1)
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
    """Mark random blotches, like those of a cow, in each image.

    White noise is blurred by a Gaussian whose width is drawn per image, then cut at the
    level that a normal variable of the same mean and spread exceeds with ``share``.

    Args:
        shape: ``(B, H, W)``.
        sigma: Smallest and largest width of the blur, in pixels, drawn log-uniformly.
        share: Expected share of marked pixels, in (0, 1).
        generator: Source of randomness, on ``device``; the global one if None.
        device: Where the mask is made.

    Returns:
        True inside the blotches, bool ``(B, H, W)``.

    Raises:
        ValueError: If ``share`` is outside (0, 1) or ``sigma`` is not an increasing
            pair of positive numbers.

    Example:
        >>> cowmix_mask((2, 16, 16), sigma=(1.0, 2.0)).dtype
        torch.bool

    Source:
        French et al. 2020 (arXiv 2003.12022), Alg. 1. The blur there is reflected at
        the border, here its weights are renormalized.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), got {share}")
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be an increasing positive pair, got {sigma}")

    batch, height, width = shape
    draw = torch.rand(batch, 1, 1, generator=generator, device=device)
    noise = torch.randn(shape, generator=generator, device=device)
    low, high = math.log(sigma[0]), math.log(sigma[1])
    deviation = torch.exp(low + draw * (high - low))  # (B, 1, 1)

    blurred = _gaussian(height, deviation) @ noise @ _gaussian(width, deviation).mT
    spread, mean = torch.std_mean(blurred, dim=(1, 2), keepdim=True, correction=0)
    level = math.sqrt(2) * torch.erfinv(torch.full_like(mean, 1 - 2 * share))
    return blurred > mean + spread * level


def _gaussian(length: int, deviation: Tensor) -> Tensor:
    """Return the matrix that blurs a line of pixels, ``(B, length, length)``."""
    place = torch.arange(length, device=deviation.device)
    distance = (place[:, None] - place[None, :]) / deviation
    return (-0.5 * distance.square()).softmax(2)


def mix(x: Tensor, mask: Tensor) -> Tensor:
    """Paste the marked pixels of each image into its successor in the batch.

    ``mixed[i]`` is ``x[i]`` where ``mask[i]``, elsewhere ``x[(i + 1) % B]``. One call
    each for image, label and confidence keeps the three in step.

    Args:
        x: What to mix, any dtype, ``(B, H, W)`` or ``(B, C, H, W)``, with B > 1.
        mask: True where image i keeps its own pixel, bool ``(B, H, W)``.

    Returns:
        The mixed batch, same dtype and shape as ``x``.

    Raises:
        ValueError: If the shapes do not match, or the batch is a single image, which
            would be mixed with itself.

    Example:
        >>> mix(torch.tensor([[[1, 1]], [[2, 2]]]), torch.tensor([[[True, False]]] * 2))
        tensor([[[1, 2]],
        <BLANKLINE>
                [[2, 1]]])

    Source:
        Olsson et al. 2021, Alg. 1; the pairing is that of the authors' trainSSL.py.
    """
    if x.ndim not in (3, 4) or mask.shape != (len(x), *x.shape[-2:]):
        raise ValueError(
            "x must be (B, H, W) or (B, C, H, W) and mask (B, H, W) of the same size,"
            f" got {tuple(x.shape)} and {tuple(mask.shape)}"
        )
    if len(x) < 2:
        raise ValueError(
            f"x must hold at least 2 images, got {len(x)};"
            " an image would be mixed with itself, so raise the unlabeled batch size"
        )
    return x.where(mask if x.ndim == 3 else mask[:, None], x.roll(-1, 0))
