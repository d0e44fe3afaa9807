"""DeepLab-v2: the sum of dilated convolutions, over features of output stride 8."""

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck

CAFFE_RESNET = "caffe_resnet101"
"""Name of the paper's encoder, by `caffe_resnet101`."""

DILATIONS = (6, 12, 18, 24)


class DeepLabV2(nn.Module):
    """Sum dilated 3 × 3 convolutions of an encoder's last features.

    The image is never padded to a multiple of anything; logits are upsampled
    bilinearly, with corners aligned. There are always branches of dilation 6, 12, 18
    and 24. Those that do not count are never computed, and want no gradient.

    Args:
        encoder: Image to features, float ``(B, D, h, w)``, or to a list of which they
            are the last.
        channels: Channels of the features, D.
        num_classes: Number of classes, C.
        head_dilations: Dilations of the branches that count.

    Raises:
        ValueError: If a dilation is none of the four, or there is none.

    Source:
        Chen et al. 2017 (arXiv 1606.00915), section 3.2. The code of ClassMix's authors
        returns from within the loop over the branches, so that 6 and 12 count alone.
    """

    def __init__(
        self,
        encoder: nn.Module,
        channels: int,
        num_classes: int,
        *,
        head_dilations: Collection[int] = DILATIONS,
    ) -> None:
        super().__init__()
        if not head_dilations or not {*head_dilations} <= {*DILATIONS}:
            raise ValueError(
                f"head_dilations must be some of {DILATIONS}, got {head_dilations}"
            )
        self.encoder = encoder
        self.counts = [dilation in head_dilations for dilation in DILATIONS]
        self.head = nn.ModuleList()
        for dilation, counts in zip(DILATIONS, self.counts, strict=True):
            branch = nn.Conv2d(
                channels, num_classes, 3, padding=dilation, dilation=dilation
            )
            nn.init.normal_(branch.weight, std=0.01)
            self.head.append(branch.requires_grad_(counts))

    def forward(self, image: Tensor) -> Tensor:
        """Return class scores, float ``(B, C, H, W)``, for a float ``(B, 3, H, W)``."""
        features: Any = self.encoder(image)
        if isinstance(features, (list, tuple)):
            features = features[-1]
        counting = zip(self.head, self.counts, strict=True)
        logits = sum(branch(features) for branch, counts in counting if counts)
        return functional.interpolate(
            logits, size=image.shape[-2:], mode="bilinear", align_corners=True
        )


class _CaffeBottleneck(Bottleneck):  # type: ignore[misc] # torchvision is untyped
    """A bottleneck whose first 1 × 1 convolution has the stride, as Caffe's has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class CaffeResNet101(ResNet):  # type: ignore[misc] # torchvision is untyped
    """ResNet-101 of output stride 8, as it came to DeepLab-v2 from Caffe.

    Strides are in the first 1 × 1 convolutions, pooling rounds up, and the last two
    stages have dilations 2 and 4 throughout: 321 × 321 pixels become 41 × 41 features.

    Args:
        in_channels: Channels of the image.

    Source:
        Chen et al. 2017 (arXiv 1606.00915), section 3.1; He et al. 2016.
    """

    channels = 2048

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(
            _CaffeBottleneck,
            [3, 4, 23, 3],
            replace_stride_with_dilation=[False, True, True],
        )
        del self.fc, self.avgpool
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        # torchvision's first block of a stage keeps the dilation of the stage before.
        for stage, dilation in ((self.layer3, 2), (self.layer4, 4)):
            for block in stage:
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)

    def forward(self, image: Tensor) -> Tensor:
        """Return features, float ``(B, 2048, h, w)``, for a float ``(B, 3, H, W)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features
