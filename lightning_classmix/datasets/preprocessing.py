"""Preprocessing of images: the same in training, evaluation and prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning_classmix.datasets.augmentation import StandardAugmentation
from lightning_classmix.datasets.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Pipeline,
    Transform,
)
from lightning_classmix.ops.ranges import check_ranges


@dataclass(frozen=True)
class Preprocessing:
    """Resizing and normalization of images.

    Args:
        size: Height and width in pixels to which images are resized; None keeps their
            size.
        mean: Channel means for normalization, each in [0, 1].
        std: Channel standard deviations for normalization, each in (0, 1].
        value_range: Pixel values that become 0 and 1 before the normalization; None for
            the range of the pixel type.

    Raises:
        ValueError: If a value is out of its range, or ``mean`` and ``std`` have
            different lengths.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the values; turn lists, as in YAML files, into tuples."""
        for name in ("size", "mean", "std", "value_range"):
            value: Sequence[float] | None = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        check_ranges(size=self.size, mean=self.mean, std=self.std)
        limits = self.value_range
        if limits is not None and not (len(limits) == 2 and limits[0] < limits[1]):
            raise ValueError(
                f"value_range must be a smaller and a larger number, got {limits}"
            )
        if len(self.mean) != len(self.std):
            raise ValueError(
                "mean and std must have one value for each channel, got"
                f" {len(self.mean)} and {len(self.std)} values"
            )

    def transform(
        self,
        pipeline: Pipeline | StandardAugmentation | None = None,
        *,
        mark_padding: bool = True,
    ) -> Transform:
        """Return the transform of an image: resize, augment, normalize.

        Args:
            pipeline: Augmentation; None for evaluation and prediction.
            mark_padding: Whether padded pixels are not valid.
        """
        return Transform(
            pipeline,
            size=self.size,
            mean=self.mean,
            std=self.std,
            value_range=self.value_range,
            mark_padding=mark_padding,
        )


def fit_normalization(arguments: dict[str, Any], channels: int) -> None:
    """Replace default ``mean`` and ``std`` if images do not have three channels.

    Args:
        arguments: Arguments of a data module; changed in place.
        channels: Number of image channels.
    """
    for name, default in {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}.items():
        if channels != 3 and tuple(arguments.get(name, default)) == default:
            arguments[name] = (round(sum(default) / 3, 4),) * channels
