"""One behavior for every segmentation network: an image in, logits of its size out."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class SegmentationNetwork(nn.Module):
    """Give any network full-size logits for images of any size.

    The image is padded at the right and at the bottom, by its border pixels, to a
    multiple of ``stride``, and to ``smallest`` at least; logits of a lower resolution
    are upsampled bilinearly; the padding is cut off again.

    Args:
        network: Takes a float ``(B, 3, H, W)`` image; answers with logits, float
            ``(B, C, h, w)``, or with a dict that holds them as ``logits`` or ``out``.
        num_classes: Number of classes, C.
        stride: What the network needs image sides to be a multiple of.
        smallest: Smallest image side that the network can take.

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
        self.network, self.num_classes = network, num_classes
        self.stride, self.smallest = stride, smallest
        self.pretrained: list[str] = []
        """Parts of the network that hold pretrained weights."""

    @property
    def encoder(self) -> nn.Module | None:
        """The pretrained part: the network's ``encoder`` or ``backbone``, if any."""
        for name in ("encoder", "backbone"):
            part = getattr(self.network, name, None)
            if isinstance(part, nn.Module):
                return part
        return None

    def take_pretrained(self, other: "SegmentationNetwork") -> None:
        """Take over the weights of a like network that pretrained weights came with.

        These are those of its encoder, and of the head of DeepLab-v2, if it has them
        from a file.
        """
        for name in other.pretrained:
            part = self.network.get_submodule(name)
            part.load_state_dict(other.network.get_submodule(name).state_dict())

    def forward(self, image: Tensor) -> Tensor:
        """Return class scores, float ``(B, C, H, W)``, for a float ``(B, 3, H, W)``.

        Raises:
            TypeError: If the network's answer holds no logits.
            ValueError: If it holds logits of another number of classes.
        """
        height, width = image.shape[-2:]
        below, right = self._padding(height), self._padding(width)
        if below or right:
            image = functional.pad(image, (0, right, 0, below), mode="replicate")
        logits = _logits(self.network(image))
        if logits.shape[1] != self.num_classes:
            raise ValueError(
                f"network must answer with num_classes = {self.num_classes} channels,"
                f" got {logits.shape[1]}"
            )
        if logits.shape[-2:] != image.shape[-2:]:
            logits = functional.interpolate(
                logits, size=image.shape[-2:], mode="bilinear", align_corners=False
            )
        return logits[..., :height, :width]

    def _padding(self, side: int) -> int:
        least = max(side, self.smallest)
        return least + -least % self.stride - side


def _logits(answer: Any) -> Tensor:
    if isinstance(answer, Mapping):
        answer = answer.get("logits", answer.get("out"))
    if not isinstance(answer, Tensor) or answer.ndim != 4:
        raise TypeError(
            "network must answer with logits (B, C, H, W), or a dict that holds them as"
            f" 'logits' or 'out', got {type(answer).__name__}"
        )
    return answer
