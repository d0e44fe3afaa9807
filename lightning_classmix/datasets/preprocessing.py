"""Preprocessing of images: the same in training, evaluation and prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

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

    Raises:
        ValueError: If a value is out of its range, or ``mean`` and ``std`` have
            different lengths.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Check the values; turn lists, as in YAML files, into tuples."""
        for name in ("size", "mean", "std"):
            value: Sequence[float] | None = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        check_ranges(size=self.size, mean=self.mean, std=self.std)
        if len(self.mean) != len(self.std):
            raise ValueError(
                "mean and std must have one value for each channel, got"
                f" {len(self.mean)} and {len(self.std)} values"
            )

    def transform(
        self, pipeline: Pipeline | None = None, *, mark_padding: bool = True
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
            mark_padding=mark_padding,
        )
