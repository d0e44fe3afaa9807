"""Wrapper that gives any segmentation network full-size logits."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class SegmentationNetwork(nn.Module):
    """Wrap a network so that logits have the size of the image, for any image size.

    The image is padded at the right and at the bottom, with its border pixels, to at
    least ``smallest`` and to a multiple of ``stride``. Logits of a lower resolution are
    upsampled bilinearly, then cropped to the image.

    Args:
        network: Maps a float ``(B, C_in, H, W)`` image to logits, float
            ``(B, C, h, w)``, or to a dict with logits as ``logits`` or ``out``.
        num_classes: Number of classes, C.
        stride: Image sides must be a multiple of this for the network, in pixels.
        smallest: Smallest image side that the network accepts, in pixels.

    Example:
        >>> import torch
        >>> network = SegmentationNetwork(nn.Conv2d(3, 5, 4, stride=4), 5, stride=4)
        >>> network(torch.zeros(1, 3, 30, 41)).shape
        torch.Size([1, 5, 30, 41])
    """

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        *,
        stride: int = 1,
        smallest: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.num_classes = num_classes
        self.stride = stride
        self.smallest = smallest

    @property
    def encoder(self) -> nn.Module | None:
        """The attribute ``encoder`` or ``backbone`` of the network; None without it."""
        for name in ("encoder", "backbone"):
            part = getattr(self.network, name, None)
            if isinstance(part, nn.Module):
                return part
        return None

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float ``(B, C, H, W)``, of a float ``(B, C_in, H, W)`` image.

        Raises:
            TypeError: If the network does not return logits.
            ValueError: If the logits have another number of classes.
        """
        height, width = image.shape[-2:]
        below = self._padding(height)
        right = self._padding(width)
        if below or right:
            image = functional.pad(image, (0, right, 0, below), mode="replicate")
        logits = extract_logits(self.network(image))
        if logits.shape[1] != self.num_classes:
            raise ValueError(
                f"network must return num_classes = {self.num_classes} channels,"
                f" got {logits.shape[1]}"
            )
        if logits.shape[-2:] != image.shape[-2:]:
            logits = functional.interpolate(
                logits, size=image.shape[-2:], mode="bilinear", align_corners=False
            )
        return logits[..., :height, :width]

    def _padding(self, side: int) -> int:
        smallest = max(side, self.smallest)
        return smallest + -smallest % self.stride - side


def extract_logits(output: Any) -> Tensor:
    """Return the logits in the output of a network.

    Args:
        output: Logits, float ``(B, C, h, w)``, or a dict with logits as ``logits`` or
            ``out``.

    Raises:
        TypeError: If the output contains no logits.
    """
    if isinstance(output, Mapping):
        output = output.get("logits", output.get("out"))
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise TypeError(
            "network must return logits (B, C, H, W), or a dict with logits as"
            f" 'logits' or 'out', got {type(output).__name__}"
        )
    return output
