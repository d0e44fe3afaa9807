"""Settings of the modules that only serve to reproduce published results."""

from dataclasses import dataclass

from lightning_classmix.ops.ranges import check_ranges


@dataclass(frozen=True)
class Reproduction:
    """Details of published training code that we do not recommend.

    The data modules have a group of the same purpose, `DataReproduction`.

    Args:
        decay_all: Apply weight decay to biases and normalization parameters too.
        freeze_norm: Do not train the scales and shifts of batch norm layers; their
            running statistics are still updated.
        pad_to: Height and width in pixels to which smaller images are padded at the
            bottom and right in validation, test and prediction; None or 1 x 1 pads
            nothing.

    Raises:
        ValueError: If ``pad_to`` is smaller than 1 pixel.
    """

    decay_all: bool = False
    freeze_norm: bool = False
    pad_to: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_ranges(pad_to=self.pad_to)
