"""Prediction by sliding windows, mirrored images and padding."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_classmix.ops.ranges import check_ranges


def window_starts(length: int, window: int) -> list[int]:
    """Return the first pixel of each window along one side of an image.

    Neighboring windows overlap by at least a third; the last window ends at the border.
    If the window is as long as the side, or longer, there is one window, at 0.

    Args:
        length: Length of the side in pixels, at least 1.
        window: Length of a window in pixels, at least 1.

    Returns:
        Index of the first pixel of each window, increasing.

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
    """Call a network on windows of an image, and average where windows overlap.

    Probabilities are averaged, in at least float32. An image smaller than the window is
    passed as it is.

    Args:
        network: Network to call; maps a float ``(B, C_in, h, w)`` image to float
            ``(B, C, h, w)`` logits.
        image: Normalized images, float ``(B, C_in, H, W)``.
        window: Height and width of the windows in pixels, at least 1.

    Returns:
        Logits whose softmax is the average, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, C_in, H, W)``, or a side of ``window`` is
            below 1.

    Example:
        >>> def network(x):
        ...     return x
        >>> x = torch.rand(1, 3, 7, 9)
        >>> sliding_window(network, x, (4, 4)).argmax(1).equal(x.argmax(1))
        True
    """
    _check_image(image)
    height, width = window
    check_ranges(window=window)
    total = torch.zeros(())
    windows = image.new_zeros(image.shape[-2:], dtype=torch.float32)  # (H, W)
    for top in window_starts(image.shape[-2], height):
        for left in window_starts(image.shape[-1], width):
            index = (..., slice(top, top + height), slice(left, left + width))
            logits = network(image[index])
            precise = torch.promote_types(logits.dtype, torch.float32)
            probability = logits.softmax(1, dtype=precise)
            if total.ndim == 0:
                shape = *logits.shape[:2], *image.shape[-2:]
                total = probability.new_zeros(shape)  # (B, C, H, W)
            total[index] += probability
            windows[index] += 1
    return _logits_of(total / windows)


def flip_average(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Call a network on an image and on its mirror image, and average the two results.

    The mirror image swaps left and right. Probabilities are averaged, in at least
    float32.

    Args:
        network: Network to call; maps a float ``(B, C_in, H, W)`` image to float
            ``(B, C, H, W)`` logits.
        image: Normalized images, float ``(B, C_in, H, W)``.

    Returns:
        Logits whose softmax is the average, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, C_in, H, W)``.

    Example:
        >>> logits = torch.tensor([[0.9, 0.5], [0.1, 0.5]])[None, :, None].log()
        >>> flip_average(lambda image: logits, torch.zeros(1, 3, 1, 2)).softmax(1)[0, 0]
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
    """Call a network on an image padded by zeros, and crop the logits to the image.

    Args:
        network: Network to call; maps a float ``(B, C_in, h, w)`` image to float
            ``(B, C, h, w)`` logits.
        image: Normalized images, float ``(B, C_in, H, W)``; 0 is the mean color.
        size: Height and width in pixels to which smaller images are padded, at the
            bottom and at the right.

    Returns:
        Logits, float ``(B, C, H, W)``.

    Raises:
        ValueError: If ``image`` is not ``(B, C_in, H, W)``.

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
            f"image must have shape (B, C_in, H, W), got {tuple(image.shape)}"
        )


def _logits_of(probability: Tensor) -> Tensor:
    """Return finite logits whose softmax is ``probability``."""
    return probability.clamp_min(torch.finfo(probability.dtype).tiny).log()
