"""Networks by name; the only file that knows segmentation-models-pytorch."""

import math
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder_names

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.weights import load_encoder

MODELS = tuple(smp.MODEL_ARCHITECTURES_MAPPING)
"""Names that `build_model` takes."""


def build_model(
    name: str,
    encoder: str,
    num_classes: int,
    *,
    encoder_weights: str | None = None,
    in_channels: int = 3,
) -> SegmentationNetwork:
    """Build a segmentation network of segmentation-models-pytorch.

    Args:
        name: Architecture, such as ``unet``, ``fpn`` or ``deeplabv3plus``.
        encoder: Backbone, such as ``resnet50``; any of timm's as ``tu-<name>``.
        num_classes: Number of classes, C.
        encoder_weights: Name of published weights to download (``imagenet``), the path
            of a local file (key names of torchvision, timm or
            segmentation-models-pytorch; tensors only), or None for random ones.
        in_channels: Channels of the image. For other than 3, pretrained weights of the
            first layer are repeated and scaled.

    Returns:
        A network whose logits have the size of the image, whatever that is.

    Raises:
        ValueError: If a name is unknown (the nearest ones are offered), the two parts
            do not fit together, or the file does not fit the encoder.
        FileNotFoundError: If ``encoder_weights`` is a path that does not exist.

    Example:
        >>> network = build_model("unet", "resnet18", num_classes=5)
        >>> network(torch.zeros(1, 3, 50, 70)).shape
        torch.Size([1, 5, 50, 70])
    """
    _check_name("model", name, MODELS)
    if encoder.startswith("tu-"):
        # A tag behind the dot names the weights, not the architecture.
        known = [f"tu-{known}" for known in timm.list_models()]
        _check_name("encoder", encoder.split(".")[0], known)
        names: Sequence[str] = ["imagenet"]  # which weights, the encoder's tag says
    else:
        _check_name("encoder", encoder, get_encoder_names())
        names = list(smp.encoders.encoders[encoder]["pretrained_settings"])

    path = _local_file(encoder_weights)
    if encoder_weights is not None and path is None:
        _check_name("encoder_weights", encoder_weights, names)
    network = _create(
        name, encoder, None if path else encoder_weights, in_channels, num_classes
    )
    if path:
        load_encoder(network.encoder, path)
    stride = network.encoder.output_stride
    if name == "dpt":  # its decoder halves the last features once more
        stride = math.lcm(stride, 32)
    padded = SegmentationNetwork(network, num_classes, stride=stride)
    padded.smallest = _smallest_side(padded, name, encoder, in_channels)
    return padded


def _check_name(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=5) or sorted(known)[:5]
        raise ValueError(
            f"{kind} must be known, got {name!r}; did you mean {', '.join(near)}?"
        )


def _local_file(encoder_weights: str | None) -> Path | None:
    """Return the file that ``encoder_weights`` is the path of, if it is one."""
    path = Path(encoder_weights or "")
    if path.is_file():
        return path
    if len(path.parts) > 1 or path.suffix in (".pth", ".pt", ".bin", ".ckpt"):
        raise FileNotFoundError(
            f"encoder_weights must be a file, got {encoder_weights}"
        )
    return None


def _create(
    name: str, encoder: str, weights: str | None, in_channels: int, num_classes: int
) -> Any:  # noqa: ANN401 - segmentation-models-pytorch is untyped
    # timm's weights go by the encoder's name; the flag only switches them on.
    flag = bool(weights) or None if encoder.startswith("tu-") else weights
    # A vision transformer takes images of one size, unless it is told otherwise.
    options = {"dynamic_img_size": True} if name == "dpt" else {}
    try:
        return smp.create_model(
            name, encoder, flag, in_channels, num_classes, **options
        )
    except (
        KeyError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ) as error:
        raise ValueError(
            f"model {name!r} cannot be built with encoder {encoder!r}: {error}"
        ) from error


@torch.no_grad()
def _smallest_side(
    network: SegmentationNetwork, name: str, encoder: str, in_channels: int
) -> int:
    """Try small images, since some networks need larger ones and some take one size."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    reason: Exception | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for side in (64, 128, 256):
            try:
                network(torch.zeros(1, in_channels, side, side))
            except Exception as error:
                reason = reason or error
                continue
            for module, mode in modes.items():
                module.training = mode
            return 1 if side == 64 else side
    raise ValueError(
        f"model {name!r} with encoder {encoder!r} cannot take images of any size:"
        f" {reason}"
    ) from reason
