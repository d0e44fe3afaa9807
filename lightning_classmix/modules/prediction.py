"""Predict raw images: from pixels to a label map at the size of the image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from lightning_classmix import ops
from lightning_classmix.datasets.image_io import MAX_IMAGE_PIXELS
from lightning_classmix.datasets.image_reading import read_image

if TYPE_CHECKING:
    from lightning_classmix.modules.segmentation import SegmentationModule

RawImage: TypeAlias = str | Path | Image.Image | NDArray[Any] | Tensor
"""A path, a PIL image, an array ``(H, W, C)``, or a tensor ``(C, H, W)``."""

_PIXEL_TYPES = (np.uint8, np.uint16, np.int32, np.int64, np.float32)
"""Types of pixels that `read_image` returns."""

Blend: TypeAlias = Literal["uniform", "gaussian"]


def to_array(
    image: RawImage, channels: int, max_pixels: int = MAX_IMAGE_PIXELS
) -> NDArray[Any]:
    """Return the pixels of an image, ``(H, W, C)``, at the precision of a file.

    Args:
        image: Path; PIL image; uint8 or uint16 array ``(H, W, C)``, or an array that
            this function returned for a path; or tensor ``(C, H, W)``, uint8, uint16 or
            float in [0, 1].
        channels: Number of channels that the network accepts, C.
        max_pixels: Largest number of pixels of an image file.

    Raises:
        TypeError: If the image has another type or dtype.
        ValueError: If the shape or the range does not fit.
    """
    if isinstance(image, (str, Path)):
        return read_image(Path(image), channels, max_pixels)
    if isinstance(image, Image.Image):
        deep = image.mode.startswith("I;16")
        image = np.asarray(
            image.convert("RGB") if channels == 3 and not deep else image
        )
        if deep:
            image = np.repeat(image[..., None], channels, axis=2)
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        if image.is_floating_point():
            if not (image.ge(0) & image.le(1)).all():
                raise ValueError(
                    f"a float image must be in [0, 1], got [{image.min():g},"
                    f" {image.max():g}]; pass a normalized image to the module itself"
                )
            image = (image.float() * 255).round().byte()
        image = np.moveaxis(image.numpy(), 0, -1) if image.ndim == 3 else image.numpy()
    if not isinstance(image, np.ndarray) or image.dtype not in _PIXEL_TYPES:
        kind = getattr(image, "dtype", type(image).__name__)
        raise TypeError(
            "image must be a path, a PIL image, a uint8 or uint16 array (H, W, C), or a"
            f" uint8, uint16 or float tensor (C, H, W), got {kind}"
        )
    if image.ndim == 2 and channels == 1:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise ValueError(
            f"image must have {channels} channels, as array (H, W, {channels}) or"
            f" tensor ({channels}, H, W), got an array of shape {image.shape}"
        )
    return np.ascontiguousarray(image)


def predict_bands(
    image: NDArray[Any],
    *,
    normalize: Callable[[NDArray[Any]], Tensor],
    network: Callable[[Tensor], Tensor],
    window: tuple[int, int],
    batch_size: int = 1,
    blend: Blend = "uniform",
) -> Iterator[Tensor]:
    """Predict a large image by windows, from top to bottom.

    Only the rows that windows still overlap are kept in memory: C × window height ×
    image width float32 values, in addition to a batch of windows.

    Args:
        image: Pixels, ``(H, W, C_in)``.
        normalize: Maps pixels to a normalized image, float ``(C_in, h, w)``.
        network: Maps images, float ``(B, C_in, h, w)``, to logits ``(B, C, h, w)``.
        window: Height and width of the windows in pixels.
        batch_size: Number of windows that the network receives at once.
        blend: Weight of a window's pixels where windows overlap: the same
            (``uniform``, as in validation), or a normal distribution about the center
            of the window with a standard deviation of a quarter of its side
            (``gaussian``).

    Yields:
        Class probabilities of the next rows, the average of the windows, float32
        ``(C, h, W)``.
    """
    height, width = image.shape[:2]
    tops = ops.window_starts(height, window[0])
    lefts = ops.window_starts(width, window[1])
    rows, columns = min(window[0], height), min(window[1], width)
    factor = _blend_weights(rows, columns, blend)
    total = torch.zeros(())
    weights = torch.zeros(rows, width)
    for index, top in enumerate(tops):
        for first in range(0, len(lefts), batch_size):
            group = lefts[first : first + batch_size]
            crops = [
                np.ascontiguousarray(image[top : top + rows, left : left + columns])
                for left in group
            ]
            logits = network(torch.stack([normalize(crop) for crop in crops]))
            if total.ndim == 0:
                precise = torch.promote_types(logits.dtype, torch.float32)
                size = logits.shape[1], rows, width
                total = logits.new_zeros(size, dtype=precise)
                weights, factor = weights.to(total.device), factor.to(total.device)
            for left, values in zip(group, logits, strict=True):
                # One window at a time, which stays in the cache of a CPU.
                probability = values.softmax(0, dtype=total.dtype)
                if blend != "uniform":
                    probability *= factor
                total[..., left : left + columns] += probability
                weights[:, left : left + columns] += factor
        following = tops[index + 1] if index + 1 < len(tops) else height
        done = min(following - top, rows)
        yield total[:, :done] / weights[:done]
        total = torch.cat([total[:, done:], torch.zeros_like(total[:, :done])], 1)
        weights = torch.cat([weights[done:], torch.zeros_like(weights[:done])])


def _blend_weights(rows: int, columns: int, blend: Blend) -> Tensor:
    """Return the weight of each pixel of a window, float ``(rows, columns)``."""
    if blend == "uniform":
        return torch.ones(rows, columns)
    sides = []
    for length in (rows, columns):
        offset = (torch.arange(length) - (length - 1) / 2) / length
        sides.append(torch.exp(-0.5 * (offset / 0.25) ** 2))
    return sides[0][:, None] * sides[1]


@torch.no_grad()
def predict_image(
    module: "SegmentationModule",
    image: RawImage,
    *,
    window: tuple[int, int] | None = None,
    batch_size: int = 1,
    blend: Blend = "uniform",
    probabilities: bool = False,
) -> Tensor:
    """Predict one image with the network that ``forward`` of a module uses.

    The image is resized and normalized as in validation. An image that is not resized
    is predicted window by window, so that large images need little memory.

    Args:
        module: Module in eval mode.
        image: Image of any size.
        window: Height and width of the windows in pixels; None for those of the module.
        batch_size: Number of windows that the network receives at once.
        blend: Weight of a window's pixels where windows overlap; see `predict_bands`.
        probabilities: Return class probabilities.

    Returns:
        Class per pixel, uint8 ``(H, W)``, at the size of the image; with
        ``probabilities`` the class probabilities, float32 ``(C, H, W)``. On the CPU.
    """
    pixels = to_array(image, module.in_channels)
    transform = module.preprocessing.transform()
    window = window or module.window

    def normalize(crop: NDArray[Any]) -> Tensor:
        return transform(crop)["image"].to(module.device)

    if window is None or module.preprocessing.size is not None:
        logits = module.predict_logits(normalize(pixels)[None], module.evaluate)
        return _full_size(logits, pixels.shape[:2], probabilities)

    network: Callable[[Tensor], Tensor] = getattr(module, module.evaluate)
    if module.reproduction.pad_to is not None:
        network = partial(ops.padded, network, size=module.reproduction.pad_to)
    bands = partial(
        predict_bands,
        normalize=normalize,
        network=network,
        window=window,
        batch_size=batch_size,
        blend=blend,
    )
    streams = [bands(pixels)]
    if module.flip_average:
        streams.append(bands(pixels[:, ::-1]))
    parts = []
    for band, *mirrored in zip(*streams, strict=True):
        if mirrored:
            band = (band + mirrored[0].flip(-1)) / 2
        result = band if probabilities else _most_probable(band)
        parts.append(result.cpu())
    return torch.cat(parts, dim=-2)


def _full_size(logits: Tensor, size: Sequence[int], probabilities: bool) -> Tensor:
    """Resize the logits of one image, one class at a time to save memory."""
    logits = logits.float()
    if probabilities:
        if logits.shape[-2:] != tuple(size):
            logits = functional.interpolate(logits, tuple(size), mode="bilinear")
        return logits.softmax(1)[0].cpu()
    if logits.shape[-2:] == tuple(size):
        return _most_probable(logits[0]).cpu()
    parts = (logits[:, index : index + 1] for index in range(logits.shape[1]))
    scores = (functional.interpolate(p, tuple(size), mode="bilinear") for p in parts)
    return _most_probable(score[0, 0] for score in scores).cpu()


def _most_probable(scores: Iterable[Tensor]) -> Tensor:
    """Return the class of the largest score, uint8 ``(H, W)``.

    One class after the other needs little memory, and on the CPU a third of the time of
    ``argmax`` over the first axis.

    Args:
        scores: Score of each class, float ``(H, W)``.
    """
    classes = iter(scores)
    best = next(classes).clone()
    label = torch.zeros_like(best, dtype=torch.uint8)
    for index, score in enumerate(classes, start=1):
        label.masked_fill_(score > best, index)
        torch.maximum(best, score, out=best)
    return label
