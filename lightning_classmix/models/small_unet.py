"""A U-Net small enough to train from random weights on a CPU in minutes."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional


class SmallUNet(nn.Module):
    """A U-Net of four scales, for demonstrations and first experiments.

    The logits have half the resolution of the image; `Supervised` upsamples them.

    Args:
        num_classes: Number of classes, C.
        in_channels: Number of image channels.
        width: Number of channels at the finest scale; 24 gives 250,000 parameters.

    Example:
        >>> SmallUNet(num_classes=7)(torch.zeros(1, 3, 32, 48)).shape
        torch.Size([1, 7, 16, 24])

    Source:
        Ronneberger et al. 2015 (arXiv 1505.04597), with strided convolutions instead of
        pooling, bilinear upsampling and batch norm.
    """

    def __init__(
        self, num_classes: int, *, in_channels: int = 3, width: int = 24
    ) -> None:
        super().__init__()
        channels = [in_channels, width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(
            _block(before, after, stride=2)
            for before, after in itertools.pairwise(channels)
        )
        self.up = nn.ModuleList(
            [
                _block(8 * width, 2 * width),
                _block(4 * width, width),
                _block(2 * width, width),
            ]
        )
        self.head = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float ``(B, C, ⌈H/2⌉, ⌈W/2⌉)``, of ``(B, C_in, H, W)``."""
        features = [image]
        for down in self.down:
            features.append(down(features[-1]))
        x = features.pop()
        for up in self.up:
            skip = features.pop()
            x = functional.interpolate(x, skip.shape[2:], mode="bilinear")
            x = up(torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _block(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
