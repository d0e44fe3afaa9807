"""A segmentation network in use: normalization, windows, flips and prediction."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional

from lightning_classmix import batches, ops
from lightning_classmix.callbacks.compatibility import warn_of_other_lightning
from lightning_classmix.datasets.preprocessing import Preprocessing
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightning_classmix.modules.prediction import RawImage, predict_image
from lightning_classmix.modules.reproduction import Reproduction
from lightning_classmix.ops.ranges import check_classes, check_ranges


class SegmentationModule(LightningModule):
    """Base class: predict with segmentation networks.

    A subclass sets an attribute for each of its networks.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        in_channels: Number of image channels.
        window: Height and width in pixels of a sliding window for validation, test and
            prediction; neighboring windows overlap by a third. None predicts whole
            images.
        flip_average: Average the probabilities of an image and of its mirror image in
            validation, test and prediction; this takes twice the time.
        class_names: Class names for logs and tables; None numbers the classes.
        palette: Class colors, RGB in [0, 255]; None uses the colors of Pascal VOC.
        mean: Channel means by which images are normalized, each in [0, 1].
        std: Channel standard deviations by which images are normalized, each in (0, 1].
        reproduction: Settings that only serve to reproduce published results.

    Raises:
        ValueError: If an argument is out of its range.
    """

    evaluate = "student"
    """Attribute name of the network that ``forward`` uses."""

    def __init__(
        self,
        num_classes: int,
        *,
        in_channels: int = 3,
        window: tuple[int, int] | None = None,
        flip_average: bool = False,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        reproduction: Reproduction | None = None,
    ) -> None:
        super().__init__()
        warn_of_other_lightning(type(self).__name__)
        check_ranges(num_classes=num_classes, in_channels=in_channels, window=window)
        for name, channels in (("mean", mean), ("std", std)):
            if len(channels) != in_channels:
                raise ValueError(
                    f"{name} must have {in_channels} values, one for each of"
                    f" in_channels, got {len(channels)}"
                )
        check_classes(num_classes, class_names, palette)
        self.save_hyperparameters(ignore=["network"])
        for name, value in self.hparams.items():  # checkpoints hold plain values
            if isinstance(value, Path):
                self.hparams[name] = str(value)
            elif isinstance(value, Reproduction):
                self.hparams[name] = asdict(value)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.window = window
        self.flip_average = flip_average
        self.class_names = list(class_names or map(str, range(num_classes)))
        self.palette = palette
        self.mean = mean
        self.std = std
        if isinstance(reproduction, dict):  # as a checkpoint holds it
            reproduction = Reproduction(**reproduction)
        self.reproduction = reproduction or Reproduction()
        self.preprocessing = Preprocessing(mean=tuple(mean), std=tuple(std))
        """Resizing and normalization of the images.

        Taken from the data module of the last run, if it has attributes of these names.
        """

    def remove_ignored_hparams(self, ignore_list: list[str]) -> None:
        """Drop ignored arguments and callables from the hyperparameters."""
        callables = [name for name, value in self.hparams.items() if callable(value)]
        super().remove_ignored_hparams([*ignore_list, *callables])

    def setup(self, stage: str) -> None:
        """Take the preprocessing of the data."""
        data = getattr(self.trainer, "datamodule", None)
        channels = getattr(data, "in_channels", self.in_channels)
        if channels != self.in_channels:
            raise ValueError(
                f"in_channels must be that of the data, {channels}, got"
                f" {self.in_channels}"
            )
        names = [field.name for field in fields(Preprocessing)]
        given = {name: getattr(data, name, None) for name in names}
        known = {name: value for name, value in given.items() if value is not None}
        self.preprocessing = replace(self.preprocessing, **known)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the preprocessing of the images."""
        checkpoint["preprocessing"] = asdict(self.preprocessing)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the preprocessing of the images."""
        if "preprocessing" in checkpoint:
            self.preprocessing = Preprocessing(**checkpoint["preprocessing"])

    def forward(self, image: Tensor) -> Tensor:
        """Return the class scores of the network that is meant for prediction.

        The image must be resized and normalized as in training; `Predictor` does both.

        Args:
            image: Normalized images of any size, float ``(B, C_in, H, W)``.

        Returns:
            Logits, float ``(B, C, H, W)``.
        """
        logits: Tensor = getattr(self, self.evaluate)(image)
        return logits

    def check_part(self, batch: Any, part: batches.Part) -> None:
        """Raise a ValueError if keys, shapes or dtypes of a batch are wrong.

        Args:
            batch: A part of a batch, as `batches.standard_batch` returns it.
            part: What the part is used for.
        """
        dtype = next(getattr(self, self.evaluate).parameters()).dtype
        batches.check_part(batch, part, in_channels=self.in_channels, dtype=dtype)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return ``name`` and ``label``, int64 ``(H, W)`` at the size of each image.

        A batch with ``error``, an image that cannot be read, is returned as it is.
        """
        if isinstance(batch, dict) and "error" in batch:
            return batch
        batch = batches.standard_batch(batch)
        self.check_part(batch, "predict")
        logits = self.predict_logits(batch["image"], self.evaluate)
        label = [
            resize_logits(image_logits[None], size).argmax(1)[0]
            for image_logits, size in zip(logits, batch["size"].tolist(), strict=True)
        ]
        return {"name": batch["name"], "label": label}

    def predict(self, image: RawImage, *, probabilities: bool = False) -> Tensor:
        """Predict one raw image; it is resized and normalized as in validation.

        Args:
            image: Path, PIL image, uint8 array ``(H, W, C_in)``, or tensor ``(C_in, H,
                W)``, uint8 or float in [0, 1]; of any size.
            probabilities: Return class probabilities.

        Returns:
            Class per pixel, uint8 ``(H, W)``; with ``probabilities`` float32
            ``(C, H, W)``.
        """
        training = self.training
        self.eval()
        try:
            return predict_image(self, image, probabilities=probabilities)
        finally:
            self.train(training)

    def predict_logits(self, image: Tensor, network: str) -> Tensor:
        """Return the logits of a network, with windows and flips as configured.

        Args:
            image: Normalized images of any size, float ``(B, C_in, H, W)``.
            network: Attribute name of the network.

        Returns:
            Logits, float ``(B, C, H, W)``.
        """
        function: Callable[[Tensor], Tensor] = getattr(self, network)
        if self.reproduction.pad_to is not None:
            function = partial(ops.padded, function, size=self.reproduction.pad_to)
        if self.window is not None:
            function = partial(ops.sliding_window, function, window=self.window)
        if self.flip_average:
            return ops.flip_average(function, image)
        return function(image)


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits ``(B, C, H, W)`` at another height and width."""
    if logits.shape[-2:] == tuple(size):
        return logits
    return functional.interpolate(logits, tuple(size), mode="bilinear")
