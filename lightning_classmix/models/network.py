"""Wrapper that gives any segmentation network full-size logits."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from lightning_classmix.models.backbone import find_backbone
from lightning_classmix.models.outputs import auxiliary_logits, extract_logits

_Network = TypeVar("_Network", bound=nn.Module)


class SegmentationNetwork(nn.Module):
    """Wrap a network so that logits have the size of the image, for any image size.

    The image is padded at the right and at the bottom, with its border pixels, to at
    least ``smallest`` and to a multiple of ``stride``. Logits of a lower resolution are
    upsampled bilinearly, then cropped to the image.

    Args:
        network: Maps a float ``(B, C_in, H, W)`` image to an output from which
            `extract_logits` takes logits, float ``(B, C, h, w)``.
        num_classes: Number of classes, C.
        stride: Image sides must be a multiple of this for the network, in pixels.
        smallest: Smallest image side that the network accepts, in pixels.
        backbone: Attribute name of the backbone, which may contain dots; None searches
            for it as `find_backbone` does.

    Raises:
        TypeError: If ``network`` is not a module.
        ValueError: If ``network`` has lazy parameters, or no attribute ``backbone``.

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
        backbone: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be a module, got {type(network).__name__}")
        lazy = [name for name, value in network.named_parameters() if is_lazy(value)]
        if lazy:
            raise ValueError(
                f"network must have parameters with a shape, got the lazy parameter"
                f" {lazy[0]}; call the network with an image once before"
            )
        find_backbone(network, backbone)
        self.network = network
        self.num_classes = num_classes
        self.stride = stride
        self.smallest = smallest
        self.backbone = backbone
        self.encoder_frozen = False

    @property
    def encoder(self) -> nn.Module | None:
        """The backbone of the network; None if none was named or found."""
        return find_backbone(self.network, self.backbone)

    def freeze_encoder(self) -> None:
        """Exclude the encoder from training; it stays in eval mode from now on."""
        if self.encoder is not None:
            self.encoder.requires_grad_(False)
            self.encoder_frozen = True
            self.train(self.training)

    def train(self, mode: bool = True) -> "SegmentationNetwork":
        """Set the mode of all layers but those of a frozen encoder."""
        super().train(mode)
        if self.encoder_frozen and self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, image: Tensor, *, auxiliary: bool = False) -> Any:
        """Return logits, float ``(B, C, H, W)``, of a float ``(B, C_in, H, W)`` image.

        Args:
            image: Normalized images.
            auxiliary: Return a pair: the logits, and a list of the logits of the
                auxiliary heads, each float ``(B, C, H, W)``.

        Raises:
            TypeError: If the network does not return logits.
            ValueError: If the logits have another number of classes, or ``auxiliary``
                is True and the network does not return auxiliary logits.
        """
        size = image.shape[-2:]
        image = self.pad(image)
        logits, others = self.extract(self.network(image), auxiliary=auxiliary)
        logits = _full_size(logits, image.shape[-2:], size)
        if not auxiliary:
            return logits
        return logits, [_full_size(other, image.shape[-2:], size) for other in others]

    def pad(self, image: Tensor) -> Tensor:
        """Return images with sides that the network accepts, ``(B, C_in, H', W')``."""
        below, right = (self._padding(side) for side in image.shape[-2:])
        if below or right:
            image = functional.pad(image, (0, right, 0, below), mode="replicate")
        return image

    def extract(self, output: Any, *, auxiliary: bool) -> tuple[Tensor, list[Tensor]]:
        """Return the logits in an output of the inner network, and auxiliary logits.

        Args:
            output: What the inner network returned.
            auxiliary: Return auxiliary logits; otherwise the list is empty.
        """
        logits = extract_logits(output)
        if logits.shape[1] != self.num_classes:
            raise ValueError(
                f"network must return num_classes = {self.num_classes} channels,"
                f" got {logits.shape[1]}"
            )
        return logits, auxiliary_logits(output, self.num_classes) if auxiliary else []

    def _padding(self, side: int) -> int:
        smallest = max(side, self.smallest)
        return smallest + -smallest % self.stride - side


def _full_size(logits: Tensor, padded: Sequence[int], size: Sequence[int]) -> Tensor:
    """Upsample logits to the padded image, then crop them to the image."""
    if logits.shape[-2:] != padded:
        logits = functional.interpolate(
            logits, size=tuple(padded), mode="bilinear", align_corners=False
        )
    return logits[..., : size[0], : size[1]]


def copy_network(network: _Network) -> _Network:
    """Return a copy of a network, also of one with weight norm or of a script.

    Args:
        network: Network to copy. Tensors that a layer computes from its parameters, as
            ``torch.nn.utils.weight_norm`` does, are computed again by the copy.

    Raises:
        ValueError: If the network cannot be copied.
    """
    computed: dict[int, Any] = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        with torch.no_grad():
            return copy.deepcopy(network, computed)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"network must support copy.deepcopy, got an error: {reason}"
        ) from error
