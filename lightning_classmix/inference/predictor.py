"""Predict images with a trained module."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_classmix.colors import default_palette, to_colors
from lightning_classmix.datasets.pixel_range import to_unit_range
from lightning_classmix.inference.loading import load_module
from lightning_classmix.modules.evaluation import EvaluationModule
from lightning_classmix.modules.prediction import (
    Blend,
    RawImage,
    predict_image,
    to_array,
)
from lightning_classmix.ops.ranges import check_choice, check_ranges

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]

_DTYPES = {
    "32-true": torch.float32,
    "16-mixed": torch.float16,
    "bf16-mixed": torch.bfloat16,
}
_ROWS = 512  # rows that an overlay converts at once


class Predictor:
    """Predict images of any size with the network that a module validates.

    Resizing, normalization, window, flips and padding are those of the module.

    Args:
        module: Trained module; it is moved to ``device`` and put into eval mode.
        device: Device such as ``cpu`` or ``cuda:1``; None for a GPU if there is one.
        precision: ``32-true``, or autocast to ``16-mixed`` or ``bf16-mixed``.
        window: Height and width in pixels of a sliding window; None for that of the
            module.
        batch_size: Number of windows that the network receives at once.
        blend: Weight of a window's pixels where windows overlap: ``uniform`` as in
            validation, or ``gaussian``, which favors the center of a window.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from lightning_classmix import Supervised
        >>> module = Supervised(3, network=torch.nn.Conv2d(3, 3, 1))
        >>> predictor = Predictor(module, device="cpu")
        >>> predictor(torch.rand(3, 30, 41)).shape
        torch.Size([30, 41])
    """

    def __init__(
        self,
        module: EvaluationModule,
        *,
        device: str | torch.device | None = None,
        precision: Precision = "32-true",
        window: tuple[int, int] | None = None,
        batch_size: int = 1,
        blend: Blend = "uniform",
    ) -> None:
        check_choice("precision", precision, _DTYPES)
        check_choice("blend", blend, ("uniform", "gaussian"))
        check_ranges(window=window, batch_size=batch_size)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.module = module.to(device).eval()
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"device must be usable, got {device}: {reason}") from None
        self.precision = precision
        self.window = window
        self.batch_size = batch_size
        self.blend: Blend = blend
        self.palette = module.palette or default_palette(module.num_classes)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str | torch.device | None = None,
        precision: Precision = "32-true",
        window: tuple[int, int] | None = None,
        batch_size: int = 1,
        blend: Blend = "uniform",
    ) -> "Predictor":
        """Load a checkpoint of ``fit`` or of the export format ``checkpoint``.

        Args:
            path: Path of the checkpoint.
            device: Device; None for a GPU if there is one.
            precision: As for `Predictor`.
            window: As for `Predictor`.
            batch_size: As for `Predictor`.
            blend: As for `Predictor`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a checkpoint of this package.
        """
        module, _ = load_module(path)
        return cls(
            module,
            device=device,
            precision=precision,
            window=window,
            batch_size=batch_size,
            blend=blend,
        )

    @overload
    def __call__(
        self, image: list[Any], *, probabilities: bool = ...
    ) -> list[Tensor]: ...

    @overload
    def __call__(self, image: RawImage, *, probabilities: bool = ...) -> Tensor: ...

    def __call__(
        self, image: RawImage | list[Any], *, probabilities: bool = False
    ) -> Tensor | list[Tensor]:
        """Predict an image, or each image of a list.

        Args:
            image: Path, PIL image, uint8 or uint16 array ``(H, W, C_in)``, or tensor
                ``(C_in, H, W)``, uint8, uint16 or float in [0, 1]; or a list of these.
            probabilities: Return class probabilities.

        Returns:
            Class per pixel, uint8 ``(H, W)``, at the size of the image; with
            ``probabilities`` the class probabilities, float32 ``(C, H, W)``. On the
            CPU. A list for a list.

        Raises:
            TypeError: If an image has another type or dtype.
            ValueError: If its shape or range does not fit, or a file cannot be read.
        """
        if isinstance(image, list):
            return [self._predict(item, probabilities) for item in image]
        return self._predict(image, probabilities)

    def _predict(self, image: RawImage, probabilities: bool) -> Tensor:
        dtype = _DTYPES[self.precision]
        with torch.autocast(
            self.module.device.type, dtype, enabled=dtype != torch.float32
        ):
            return predict_image(
                self.module,
                image,
                window=self.window,
                batch_size=self.batch_size,
                blend=self.blend,
                probabilities=probabilities,
            )

    def overlay(self, image: RawImage, label: Tensor) -> NDArray[np.uint8]:
        """Blend the class colors over an image, half and half.

        Args:
            image: Image as for a prediction. Of one or two channels the first is shown
                in gray, of more the first three in red, green and blue.
            label: Class per pixel or 255, integer ``(H, W)``.

        Returns:
            The picture, uint8 ``(H, W, 3)``.

        Raises:
            ValueError: If image and label differ in size.
        """
        pixels = to_array(image, self.module.in_channels)
        if pixels.shape[:2] != tuple(label.shape):
            raise ValueError(
                f"label must have the size of the image, {pixels.shape[:2]}, got"
                f" {tuple(label.shape)}"
            )
        shown = [0, 1, 2] if pixels.shape[2] >= 3 else [0]
        limits = self.module.preprocessing.value_range
        picture = np.empty((*pixels.shape[:2], 3), np.uint8)
        for rows in _row_slices(len(pixels)):
            colors = to_colors(label[rows], self.palette)
            unit = to_unit_range(pixels[rows][..., shown], limits)
            if unit.dtype != np.uint8:
                unit = (unit * 255).round()
            picture[rows] = (unit.astype(np.uint16) + colors) // 2
        return picture


def _row_slices(height: int) -> Iterable[slice]:
    return (slice(top, top + _ROWS) for top in range(0, height, _ROWS))
