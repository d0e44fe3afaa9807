"""Trace a network for images of any size, or of one size."""

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.outputs import extract_logits
from lightning_classmix.models.static_padding import with_static_padding

TOLERANCE = 1e-3
"""Largest difference to PyTorch, relative to the largest logit."""

Size: TypeAlias = tuple[int, int]
"""Height and width of images in pixels."""

_FIXED = (512, 512)  # size if neither the data nor the window have one
_LARGEST = 2**16  # largest image side in pixels, and largest batch, of a trace


class Unpadded(nn.Module):
    """A network without the padding of `SegmentationNetwork`.

    Args:
        network: Network to wrap.
        sample: Image whose sides the network accepts, float ``(B, C_in, H, W)``.
    """

    def __init__(self, network: SegmentationNetwork, sample: Tensor) -> None:
        super().__init__()
        self.network = with_static_padding(network.network)
        with torch.no_grad():
            logits = extract_logits(self.network(sample))
        self.resize = logits.shape[-2:] != sample.shape[-2:]

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the size of the image, float ``(B, C, H, W)``."""
        logits = extract_logits(self.network(image))
        if self.resize:
            logits = functional.interpolate(
                logits, size=image.shape[-2:], mode="bilinear", align_corners=False
            )
        return logits


class Padded(nn.Module):
    """A network with the padding of `SegmentationNetwork`, for a symbolic image size.

    The padding and the crop are index operations: slices and ``functional.pad`` make
    ``torch.export`` assume that the image is, or is not, a multiple of the stride.

    Args:
        inner: Network for images whose sides are multiples of ``stride``.
        stride: Stride in pixels.
    """

    def __init__(self, inner: nn.Module, stride: int) -> None:
        super().__init__()
        self.inner = inner
        self.stride = stride

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the size of the image, float ``(B, C, H, W)``."""
        height, width = image.shape[-2:]
        rows, columns = (self._padded(side) for side in (height, width))
        logits: Tensor = self.inner(image[:, :, rows[:, None], columns])
        return logits[:, :, torch.arange(height)[:, None], torch.arange(width)]

    def _padded(self, side: int) -> Tensor:
        """Return the index of the image row or column of each padded one."""
        count = (side + self.stride - 1) // self.stride
        return torch.arange(count * self.stride).clamp(max=side - 1)


def trace_any_size(
    network: SegmentationNetwork, channels: int, *, pad: bool = False
) -> ExportedProgram:
    """Trace the network with symbolic batch, height and width.

    Args:
        network: Network in eval mode, on the CPU.
        channels: Number of image channels.
        pad: Include the padding to the network's stride.

    Returns:
        A program for images whose sides are multiples of the network's stride; with
        ``pad`` for images of at least `smallest_side` pixels.

    Raises:
        Exception: Whatever torch raises for a network that depends on one size.
    """
    step = network.stride
    least = max(network.smallest, 160)  # some layers differ for very small images
    height = -(-least // step) * step
    sample = torch.randn(2, channels, height, height + 2 * step)
    model: nn.Module = Unpadded(network, sample)
    rows: Any = Dim("rows", min=smallest_side(network), max=_LARGEST)
    columns: Any = Dim("columns", min=smallest_side(network), max=_LARGEST)
    if step > 1 and pad:
        model = Padded(model, step)
        sample = sample[..., 1:, 3:]
    elif step > 1:
        rows = step * Dim("rows", min=2, max=_LARGEST // step)
        columns = step * Dim("columns", min=2, max=_LARGEST // step)
    sizes = {0: Dim("batch", min=1, max=_LARGEST), 2: rows, 3: columns}
    return _trace(model, sample, sizes)


def smallest_side(network: SegmentationNetwork) -> int:
    """Return the smallest image side of a padded program, in pixels.

    Layers behave in another way for features of a single row or column.
    """
    return max(32, network.stride + 1, network.smallest)


def trace_one_size(
    network: SegmentationNetwork, channels: int, size: tuple[int, int]
) -> ExportedProgram:
    """Trace the network for images of one size, with a symbolic batch size.

    Args:
        network: Network in eval mode, on the CPU.
        channels: Number of image channels.
        size: Height and width of the images in pixels.

    Returns:
        A program that includes the padding to the stride.
    """
    sample = torch.randn(2, channels, *size)
    return _trace(network, sample, {0: Dim("batch", min=1, max=_LARGEST)})


def any_size_or_one(
    exported: Exported, attempt: Callable[[Size | None], float], *, target: str
) -> tuple[Size | None, float]:
    """Export for images of any size, or of one size if the logits differ elsewhere.

    The one size is that of the data, else the window, else 512 x 512. A warning names
    it with the reason.

    Args:
        exported: Network to export.
        attempt: Function that exports for a size, or for any size if None, and returns
            the largest relative difference to the logits of PyTorch.
        target: Words that name the format in the warning, such as ``" to ONNX"``.

    Returns:
        The size, None for any, and the difference.
    """
    try:
        difference = attempt(None)
        reason = f"the logits differ by {difference:.1e} at other sizes"
    except OSError:  # of the disk
        raise
    except Exception as error:  # torch raises many kinds for size-dependent networks
        difference = float("inf")
        reason = str(error).partition("\n")[0]
    if difference <= TOLERANCE:
        return None, difference
    module = exported.module
    height, width = module.preprocessing.size or module.window or _FIXED
    rank_zero_warn(
        f"{type(exported.network.network).__name__} can be exported{target} for one"
        f" image size only, here {height} x {width}: {reason}"
    )
    return (height, width), attempt((height, width))


def _trace(
    network: nn.Module, sample: Tensor, sizes: dict[int, Dim]
) -> ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(
            network,
            (sample,),
            dynamic_shapes=(sizes,),
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def relative_difference(logits: Tensor, reference: Tensor) -> float:
    """Return the largest difference relative to the largest absolute logit.

    Args:
        logits: Logits to compare, float ``(B, C, H, W)``.
        reference: Logits of PyTorch, float ``(B, C, H, W)``.

    Returns:
        The difference; infinity if the shapes differ or a logit is not finite.
    """
    if logits.shape != reference.shape:
        return float("inf")
    difference = (logits - reference).abs().max() / reference.abs().max().clamp_min(
        1e-12
    )
    return float(difference.nan_to_num(float("inf")))
