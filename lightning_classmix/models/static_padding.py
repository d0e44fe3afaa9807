"""Replace padding that is computed at run time by constants, for exports."""

from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix.models.network import copy_network


class _ConstantPadding(nn.Module):
    """A convolution with the padding of TensorFlow for sides of whole strides."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        padding = []
        for dim in (1, 0):  # functional.pad starts with the last dimension
            field = convolution.dilation[dim] * (convolution.kernel_size[dim] - 1) + 1
            total = max(field - convolution.stride[dim], 0)
            padding += [total // 2, total - total // 2]
        self.padding = padding
        self.convolution = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            dilation=convolution.dilation,  # type: ignore[arg-type]
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        self.convolution.load_state_dict(convolution.state_dict())

    def forward(self, image: Tensor) -> Tensor:
        """Return the features of an image whose sides are multiples of the stride."""
        output: Tensor = self.convolution(functional.pad(image, self.padding))
        return output


def with_static_padding(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose ``Conv2dSame`` layers pad by constants.

    timm computes the padding of these layers from the size of the image. If the sides
    are multiples of the stride of the network, the padding does not depend on the size.

    Args:
        network: Network of timm or segmentation-models-pytorch; it is not changed.

    Returns:
        A copy, equal for images whose sides are multiples of the stride.
    """
    network = copy_network(network)
    for parent in [*network.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, Conv2dSame):
                setattr(parent, name, _ConstantPadding(child).eval())
    return network
