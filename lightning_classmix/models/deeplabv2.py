"""DeepLab-v2 and the ResNet-101 of its paper."""

from collections.abc import Collection
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck

from lightning_classmix.ops.ranges import check_choice

CAFFE_RESNET = "caffe_resnet101"
"""Name of the encoder `CaffeResNet101`."""

DILATIONS = (6, 12, 18, 24)


class DeepLabV2(nn.Module):
    """DeepLab-v2: the sum of four dilated 3 × 3 convolutions of the last features.

    Logits are upsampled bilinearly, with corners aligned. The head always has branches
    of dilation 6, 12, 18 and 24. Unused branches are not computed or trained, so that
    pretrained weights fit every choice of branches.

    Args:
        encoder: Maps an image to features, float ``(B, D, h, w)``, or to a list whose
            last element they are.
        channels: Number of feature channels, D.
        num_classes: Number of classes, C.
        head_dilations: Dilations of the branches that are used, from 6, 12, 18 and 24.

    Raises:
        ValueError: If ``head_dilations`` is empty or contains another value.

    Source:
        Chen et al. 2017 (arXiv 1606.00915), section 3.2. The code of the authors of
        ClassMix returns within the loop over the branches: it uses 6 and 12 only.
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
        self.used = [dilation in head_dilations for dilation in DILATIONS]
        self.head = nn.ModuleList()
        for dilation, used in zip(DILATIONS, self.used, strict=True):
            branch = nn.Conv2d(
                channels, num_classes, 3, padding=dilation, dilation=dilation
            )
            nn.init.normal_(branch.weight, std=0.01)
            self.head.append(branch.requires_grad_(used))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float ``(B, C, H, W)``, of images ``(B, C_in, H, W)``."""
        features: Any = self.encoder(image)
        if isinstance(features, (list, tuple)):
            features = features[-1]
        branches = zip(self.head, self.used, strict=True)
        logits = sum(branch(features) for branch, used in branches if used)
        return functional.interpolate(
            logits, size=image.shape[-2:], mode="bilinear", align_corners=True
        )


class _CaffeBottleneck(Bottleneck):  # type: ignore[misc] # torchvision is untyped
    """A bottleneck with the stride in its first 1 × 1 convolution, as in Caffe."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class CaffeResNet101(ResNet):  # type: ignore[misc] # torchvision is untyped
    """ResNet-101 of output stride 8 with the layout of the Caffe model.

    Strides are in the first 1 × 1 convolutions, pooling rounds up, and all convolutions
    of the last two stages have dilations 2 and 4: a 321 × 321 image gives 41 × 41
    features.

    Args:
        in_channels: Number of image channels.
        channel_order: ``bgr`` reverses the channels of an RGB image before the first
            convolution, since the Caffe weights expect BGR; ``rgb`` does not.

    Raises:
        ValueError: If ``channel_order`` is unknown, or ``bgr`` without 3 channels.

    Source:
        Chen et al. 2017 (arXiv 1606.00915), section 3.1; He et al. 2016.
    """

    channels = 2048

    def __init__(
        self, in_channels: int = 3, *, channel_order: Literal["rgb", "bgr"] = "rgb"
    ) -> None:
        check_choice("channel_order", channel_order, ("rgb", "bgr"))
        if channel_order == "bgr" and in_channels != 3:
            raise ValueError(
                f"in_channels must be 3 for channel_order 'bgr', got {in_channels}"
            )
        super().__init__(
            _CaffeBottleneck,
            [3, 4, 23, 3],
            replace_stride_with_dilation=[False, True, True],
        )
        del self.fc, self.avgpool
        self.channel_order = channel_order
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        # In torchvision the first block of a stage has the dilation of the last stage.
        for stage, dilation in ((self.layer3, 2), (self.layer4, 4)):
            for block in stage:
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)

    def forward(self, image: Tensor) -> Tensor:
        """Return features, float ``(B, 2048, h, w)``, of ``(B, C_in, H, W)`` images."""
        if self.channel_order == "bgr":
            image = image.flip(1)
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features
