"""Strong augmentation of mixed images, on their device; the only file with kornia."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import kornia.augmentation as K
import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from lightning_classmix.ops.ranges import check_choice


class StrongAugment(nn.Module):
    """Apply color jitter and Gaussian blur to random images of a batch.

    Each image is drawn independently, from torch's global generator. The batch is
    denormalized to [0, 1], augmented in at least float32 and normalized again. Colors
    are jittered in images of three channels only.

    Args:
        mean: Mean with which the images were normalized, per channel in [0, 1].
        std: Standard deviation with which the images were normalized, per channel in
            (0, 1].
        jitter: Largest relative change of brightness, contrast and saturation, and
            largest change of the hue as a share of the color circle, in [0, 0.5].
        jitter_share: Share of the images that are jittered, in [0, 1].
        blur_share: Share of the images that are blurred, in [0, 1].
        sigma: Smallest and largest standard deviation of the blur in pixels, > 0.

    Example:
        >>> augment = StrongAugment(mean=[0.5] * 3, std=[0.5] * 3)
        >>> augment(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 3, 16, 16])

    Source:
        The authors' transformsgpu.py and configurations; `Olsson2021Augment` follows
        them closely.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        jitter: float = 0.25,
        jitter_share: float = 0.8,
        blur_share: float = 0.5,
        sigma: tuple[float, float] = (0.15, 1.15),
    ) -> None:
        super().__init__()
        self.register_buffer(
            "mean", torch.tensor(mean)[:, None, None], persistent=False
        )
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        steps: list[nn.Module] = []
        if len(mean) == 3:
            steps.append(K.ColorJitter(jitter, jitter, jitter, jitter, p=jitter_share))
        steps.append(K.RandomGaussianBlur((7, 7), sigma, p=blur_share))
        self.steps = nn.Sequential(*steps)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Return the augmented batch, of the dtype and shape of ``image``.

        Args:
            image: Normalized images, float ``(B, C, H, W)``.
        """
        precise = torch.promote_types(image.dtype, torch.float32)
        with torch.autocast(image.device.type, enabled=False):
            mean, std = self.mean.to(precise), self.std.to(precise)
            pixels = (image.to(precise) * std + mean).clamp(0, 1)
            return ((self.change(pixels) - mean) / std).to(image.dtype)

    def change(self, pixels: Tensor) -> Tensor:
        """Augment images in [0, 1], float ``(B, C, H, W)``, before normalization."""
        changed: Tensor = self.steps(pixels)
        return changed


class Olsson2021Augment(StrongAugment):
    """Jitter and blur all images of a batch or none, as the authors of ClassMix do.

    One random draw decides whether the batch is jittered, with factors per image.
    Another decides whether it is blurred, with one standard deviation for all images.
    Brightness is added, not multiplied; the blur kernel is about a tenth of the side.

    Args:
        mean: Mean with which the images were normalized, per channel in [0, 1].
        std: Standard deviation with which the images were normalized, per channel in
            (0, 1].
        jitter: Largest relative change of contrast and saturation, largest value added
            to the brightness, and largest change of the hue, in [0, 0.5].
        jitter_share: Share of the batches that are jittered, in [0, 1].
        blur_share: Share of the batches that are blurred, in [0, 1].
        sigma: Smallest and largest standard deviation of the blur in pixels, > 0.

    Source:
        The authors' transformsgpu.py; the brightness as in the kornia of that time.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        jitter: float = 0.25,
        jitter_share: float = 0.8,
        blur_share: float = 0.5,
        sigma: tuple[float, float] = (0.15, 1.15),
    ) -> None:
        super().__init__(mean, std)
        self.steps = nn.Sequential()
        if len(mean) == 3:
            self.steps.append(K.ColorJiggle(jitter, jitter, jitter, jitter, p=1.0))
        self.jitter_share, self.blur_share = jitter_share, blur_share
        self.sigma = sigma

    def change(self, pixels: Tensor) -> Tensor:
        """Augment images in [0, 1], float ``(B, C, H, W)``, before normalization."""
        jitter, blur, level = torch.rand(3).tolist()
        if jitter < self.jitter_share:
            pixels = self.steps(pixels)
        if blur < self.blur_share:
            smallest, largest = self.sigma
            sigma = smallest + (largest - smallest) * level
            height, width = (_odd_tenth(side) for side in pixels.shape[-2:])
            pixels = gaussian_blur2d(pixels, (height, width), (sigma, sigma))
        return pixels


AugmentName: TypeAlias = Literal["strong", "olsson2021", "none"]


def build_augment(
    name: AugmentName, mean: Sequence[float], std: Sequence[float]
) -> nn.Module:
    """Return the augmentation of mixed images with a given name.

    Args:
        name: ``strong`` (`StrongAugment`), ``olsson2021`` (`Olsson2021Augment`) or
            ``none``.
        mean: Channel means that the images are normalized with.
        std: Channel standard deviations that the images are normalized with.

    Raises:
        ValueError: If the name is unknown.
    """
    augments: dict[str, Callable[..., nn.Module]] = {
        "strong": StrongAugment,
        "olsson2021": Olsson2021Augment,
        "none": nn.Identity,
    }
    check_choice("augment", name, augments)
    return augments[name](mean, std)


def _odd_tenth(side: int) -> int:
    """Return the largest odd number up to a tenth of ``side``, rounded up."""
    tenth = math.ceil(0.1 * side)
    return tenth - 1 + tenth % 2
