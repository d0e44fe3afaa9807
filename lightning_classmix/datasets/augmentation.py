"""Standard augmentation of an image and its label: flip, scale, crop and colors."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lightning_classmix.ops import VOID

_CHANNELS = 4  # that OpenCV handles at once


class Augmented(NamedTuple):
    """An augmented image with its label."""

    image: NDArray[Any]
    label: NDArray[np.uint8] | None
    valid: NDArray[np.bool_]
    """False where padded, bool ``(H, W)``."""


class StandardAugmentation:
    """Mirror, scale and crop an image at random, and change its colors.

    The choices are drawn from one generator after the other: the results are those of a
    composition of albumentations, bit for bit, in less time.

    Args:
        crop: Height and width of the crop, padded where the scaled image is smaller;
            None leaves the image at its size.
        scale: Smallest and largest factor on the image's size before the crop, > 0.
        flip: Mirror images with probability 0.5.
        fill: Color of the padding, per channel in [0, 1].
        colors: Albumentations transform of the colors; None leaves them.
    """

    def __init__(
        self,
        crop: tuple[int, int] | None,
        *,
        scale: tuple[float, float],
        flip: bool,
        fill: Sequence[float],
        colors: Any = None,
    ) -> None:
        self.crop = crop
        self.scale = scale
        self.flip = flip
        self.fill = tuple(fill)
        self.colors = colors

    def __call__(
        self, image: NDArray[Any], label: NDArray[np.uint8] | None, seed: int
    ) -> Augmented:
        """Augment an image and its label.

        Args:
            image: Pixels, uint8 or float32 in [0, 1], ``(H, W, C)``.
            label: Class per pixel or 255, uint8 ``(H, W)``.
            seed: Seed of the choices, in [0, 2**32).
        """
        draws = random.Random(seed)
        augmented = self._crop(*self._flip(image, label, draws), draws)
        if self.colors is None:
            return augmented
        self.colors.set_random_state(np.random.default_rng(seed), draws)
        pixels = np.ascontiguousarray(augmented.image)
        return augmented._replace(image=self.colors(image=pixels)["image"])

    def _flip(
        self, image: NDArray[Any], label: NDArray[np.uint8] | None, draws: random.Random
    ) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        if self.flip and draws.random() < 0.5:
            image = _keep_channels(cv2.flip(image, 1), image)
            if label is not None:
                label = np.ascontiguousarray(label[:, ::-1])
        return image, label

    def _crop(
        self, image: NDArray[Any], label: NDArray[np.uint8] | None, draws: random.Random
    ) -> Augmented:
        if self.crop is None:
            return Augmented(image, label, np.ones(image.shape[:2], bool))
        smallest, largest = self.scale
        factor = draws.uniform(smallest - 1, largest - 1) + 1.0
        size = int(image.shape[0] * factor), int(image.shape[1] * factor)
        image = resize(image, size, cv2.INTER_LINEAR)
        offsets = self._offsets(size, draws)
        rows, columns = self._window(size, draws)
        image = image[rows, columns]
        if label is not None:
            label = resize(label, size, cv2.INTER_NEAREST)[rows, columns]
        return self._pad(image, label, offsets)

    def _offsets(self, size: tuple[int, int], draws: random.Random) -> tuple[int, int]:
        """Return the place of a smaller image in the crop: its top and left."""
        height, width = self.crop or size
        top = draws.randint(0, max(0, height - size[0]))
        return top, draws.randint(0, max(0, width - size[1]))

    def _window(
        self, size: tuple[int, int], draws: random.Random
    ) -> tuple[slice, slice]:
        """Return rows and columns of the crop in a scaled image."""
        slices = []
        for side, wanted in zip(size, self.crop or size, strict=True):
            start = int((max(side, wanted) - wanted + 1) * draws.random())
            slices.append(slice(start, start + wanted))
        return slices[0], slices[1]

    def _pad(
        self,
        image: NDArray[Any],
        label: NDArray[np.uint8] | None,
        offsets: tuple[int, int],
    ) -> Augmented:
        """Place a crop in one of the full size."""
        (height, width), (rows, columns) = image.shape[:2], self.crop or (0, 0)
        if (height, width) == (rows, columns):
            return Augmented(image, label, np.ones((rows, columns), bool))
        top, left = offsets
        inside = slice(top, top + height), slice(left, left + width)
        fill = 255 * np.array(self.fill)
        fill = fill.round() if image.dtype == np.uint8 else fill / 255
        padded = np.empty((rows, columns, image.shape[2]), image.dtype)
        padded[:] = fill
        padded[inside] = image
        valid = np.zeros((rows, columns), bool)
        valid[inside] = True
        classes = None
        if label is not None:
            classes = np.full((rows, columns), VOID, np.uint8)
            classes[inside] = label
        return Augmented(padded, classes, valid)


def resize(
    pixels: NDArray[Any], size: tuple[int, int], interpolation: int
) -> NDArray[Any]:
    """Resize an image ``(H, W, C)`` or a label ``(H, W)``.

    Args:
        pixels: Pixels, uint8 or float32.
        size: Height and width of the result.
        interpolation: A constant of OpenCV, such as ``cv2.INTER_LINEAR``.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] > _CHANNELS:
        ends = [*range(_CHANNELS, pixels.shape[2], _CHANNELS)]
        if pixels.shape[2] - ends[-1] == 2:  # two channels would be rounded otherwise
            ends.append(ends[-1] + 1)
        parts = np.split(pixels, ends, axis=2)
        resized = [resize(part, size, interpolation) for part in parts]
        return np.concatenate(resized, axis=2)
    interpolated = cv2.resize(pixels, size[::-1], interpolation=interpolation)
    return _keep_channels(interpolated, pixels)


def resize_image(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize an image ``(H, W, C)``, by areas where it becomes smaller."""
    smaller = size[0] < image.shape[0] or size[1] < image.shape[1]
    return resize(image, size, cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _keep_channels(pixels: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Restore the axis of a single channel, which OpenCV drops."""
    return pixels.reshape(*pixels.shape[:2], *like.shape[2:])
