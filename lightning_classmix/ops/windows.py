"""Averages of what a network says: over windows, over an image and its mirror."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad


def window_starts(length: int, window: int) -> list[int]:
    """Return where windows start along one side.

    Neighbors share at least a third of a window; the last one ends at the border. A
    window that is as long as the side, or longer, starts at 0.

    Args:
        length: Length of the side in pixels, at least 1.
        window: Length of a window in pixels, at least 1.

    Example:
        >>> window_starts(10, 6), window_starts(5, 6)
        ([0, 4], [0])
    """
    if length <= window:
        return [0]
    stride = max(1, window * 2 // 3)
    return [*range(0, length - window, stride), length - window]


def sliding_window(
    network: Callable[[Tensor], Tensor], image: Tensor, window: tuple[int, int]
) -> Tensor:
    """Ask a network for every window of an image, and average where windows overlap.

    The average is that of probabilities, in at least float32; an image smaller than
    the window is taken whole.

    Args:
        network: Image, float ``(B, 3, h, w)``, to logits, float ``(B, C, h, w)``.
        image: Normalized, float ``(B, 3, H, W)``.
        window: Height and width of the windows.

    Returns:
        Logits whose softmax is the average, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, 3, H, W)``, or ``window`` not positive.

    Example:
        >>> def network(x):
        ...     return x
        >>> x = torch.rand(1, 3, 7, 9)
        >>> sliding_window(network, x, (4, 4)).argmax(1).equal(x.argmax(1))
        True
    """
    _check_image(image)
    height, width = window
    if height < 1 or width < 1:
        raise ValueError(f"window must be at least 1 x 1, got {height} x {width}")
    total = torch.zeros(())
    windows = image.new_zeros(image.shape[-2:], dtype=torch.float32)  # (H, W)
    for top in window_starts(image.shape[-2], height):
        for left in window_starts(image.shape[-1], width):
            place = (..., slice(top, top + height), slice(left, left + width))
            logits = network(image[place])
            precise = torch.promote_types(logits.dtype, torch.float32)
            probability = logits.softmax(1, dtype=precise)
            if total.ndim == 0:
                shape = *logits.shape[:2], *image.shape[-2:]
                total = probability.new_zeros(shape)  # (B, C, H, W)
            total[place] += probability
            windows[place] += 1
    return _logits_of(total / windows)


def flip_average(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Ask a network for an image and for its mirror image, and average the two answers.

    The mirror swaps left and right. The average is that of probabilities, in at least
    float32.

    Args:
        network: Image, float ``(B, 3, H, W)``, to logits, float ``(B, C, H, W)``.
        image: Normalized, float ``(B, 3, H, W)``.

    Returns:
        Logits whose softmax is the average, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, 3, H, W)``.

    Example:
        >>> answer = torch.tensor([[0.9, 0.5], [0.1, 0.5]])[None, :, None].log()
        >>> flip_average(lambda image: answer, torch.zeros(1, 3, 1, 2)).softmax(1)[0, 0]
        tensor([[0.7000, 0.7000]])
    """
    _check_image(image)
    probability, mirrored = (
        logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
        for logits in (network(image), network(image.flip(-1)).flip(-1))
    )
    return _logits_of((probability + mirrored) / 2)


def padded(
    network: Callable[[Tensor], Tensor], image: Tensor, size: tuple[int, int]
) -> Tensor:
    """Ask a network for an image padded by zeros, and cut the padding off again.

    Args:
        network: Image, float ``(B, 3, h, w)``, to logits, float ``(B, C, h, w)``.
        image: Normalized, float ``(B, 3, H, W)``; 0 is the mean color.
        size: Height and width that a smaller image is padded to, at the bottom and at
            the right.

    Returns:
        Logits, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, 3, H, W)``.

    Example:
        >>> padded(lambda x: x + x.shape[-1], torch.zeros(1, 1, 1, 2), (3, 4))
        tensor([[[[4., 4.]]]])
    """
    _check_image(image)
    height, width = image.shape[-2:]
    below, right = max(0, size[0] - height), max(0, size[1] - width)
    return network(pad(image, (0, right, 0, below)))[..., :height, :width]


def _check_image(image: Tensor) -> None:
    if image.ndim != 4:
        raise ValueError(
            f"image must have shape (B, 3, H, W), got {tuple(image.shape)}"
        )


def _logits_of(probability: Tensor) -> Tensor:
    """Return finite logits whose softmax is ``probability``."""
    return probability.clamp_min(torch.finfo(probability.dtype).tiny).log()
