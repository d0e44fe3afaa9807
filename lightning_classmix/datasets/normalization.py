"""Normalize images by mean and standard deviation of their channels."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Normalization:
    """Normalize images to ``(pixels - mean) / std``, with pixels in [0, 1].

    Args:
        mean: Channel means, each in [0, 1].
        std: Channel standard deviations, each in (0, 1].
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean = np.array(mean, np.float32)[:, None, None]
        self._factor = np.reciprocal(np.array(std, np.float32)[:, None, None])
        levels = np.arange(256, dtype=np.float32)
        scaled_std = np.array(std, np.float32) * 255
        offset = (np.array(mean, np.float32) * 255)[:, None]
        self._table = (levels - offset) * np.reciprocal(scaled_std)[:, None]  # (C, 256)

    def __call__(self, pixels: NDArray[Any]) -> Tensor:
        """Return a normalized image, float32 ``(C, H, W)``.

        Args:
            pixels: Pixels, uint8, or float32 in [0, 1], beyond which values are
                clipped, ``(H, W, C)``.
        """
        height, width, channels = pixels.shape
        result = np.empty((channels, height, width), np.float32)
        if pixels.dtype == np.uint8:
            planes = cv2.split(pixels)  # faster than slices
            for plane, table, out in zip(planes, self._table, result, strict=True):
                cv2.LUT(plane, table, out)
        else:
            np.clip(pixels.transpose(2, 0, 1), 0, 1, out=result)
            result -= self._mean
            result *= self._factor
        return torch.from_numpy(result)
