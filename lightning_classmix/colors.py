"""Class colors, and conversion of tensors to pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_classmix import ops


def default_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Return a palette of distinct colors, for classes without colors.

    Args:
        num_classes: Number of classes, C, at most 255.

    Returns:
        RGB in [0, 255]; the first is black.

    Example:
        >>> default_palette(3)
        [(0, 0, 0), (128, 0, 0), (0, 128, 0)]

    Source:
        The color map of Pascal VOC's development kit: the bits of the class index are
        distributed over the three channels, from the highest bit down.
    """
    palette = []
    for label in range(num_classes):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        palette.append((channels[0], channels[1], channels[2]))
    return palette


def to_picture(
    image: Tensor, *, mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.uint8]:
    """Undo the normalization of one image.

    Of one or two channels the first is shown in gray, of more the first three in red,
    green and blue.

    Args:
        image: Normalized image, float ``(C, H, W)``.
        mean: Mean with which it was normalized, per channel in [0, 1].
        std: Standard deviation with which it was normalized, per channel in (0, 1].

    Returns:
        The picture, uint8 ``(H, W, 3)``.
    """
    channels = image.cpu().float() * torch.tensor(std)[:, None, None]
    pixels = (channels + torch.tensor(mean)[:, None, None]).clamp(0, 1)
    shown = pixels[[0, 1, 2] if len(pixels) >= 3 else [0, 0, 0]]
    return (shown * 255).round().byte().permute(1, 2, 0).numpy()


def to_colors(
    label: Tensor, palette: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """Convert a label map to colors; void is black.

    Args:
        label: Class per pixel or 255, integer ``(H, W)``.
        palette: Color of each class, RGB in [0, 255].

    Returns:
        The picture, uint8 ``(H, W, 3)``.
    """
    colors = np.zeros((ops.VOID + 1, 3), dtype=np.uint8)
    colors[: len(palette)] = palette
    painted: NDArray[np.uint8] = colors[label.cpu().numpy()]
    return painted
