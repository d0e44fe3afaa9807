"""Networks by name; the only file that knows segmentation-models-pytorch."""

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder_names

from lightning_classmix.models.deeplabv2 import (
    CAFFE_RESNET,
    CaffeResNet101,
    DeepLabV2,
)
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pretrained import load_encoder, load_head

MODELS = (*smp.MODEL_ARCHITECTURES_MAPPING, "deeplabv2")
"""Names that `build_model` takes."""

# What other arguments say already, or would keep logits from being the answer.
_FIXED = {
    *("encoder_name", "encoder_weights", "in_channels", "classes"),
    *("activation", "aux_params", "kwargs"),
}


def build_model(
    name: str,
    encoder: str,
    num_classes: int,
    *,
    encoder_weights: str | None = None,
    in_channels: int = 3,
    options: Mapping[str, Any] | None = None,
) -> SegmentationNetwork:
    """Build a segmentation network of segmentation-models-pytorch, or DeepLab-v2.

    Args:
        name: Architecture, such as ``unet``, ``fpn`` or ``deeplabv3plus``;
            ``deeplabv2`` is `DeepLabV2`.
        encoder: Backbone, such as ``resnet50``; any of timm's as ``tu-<name>``; for
            ``deeplabv2`` also ``caffe_resnet101``, that of its paper.
        num_classes: Number of classes, C.
        encoder_weights: Name of published weights to download (``imagenet``), the path
            of a local file (key names of torchvision, timm or
            segmentation-models-pytorch; tensors only), or None for random ones. A
            file of DeepLab-v2 as a whole, whose head is ``layer5``, fills the head
            too, if that has as many classes.
        in_channels: Channels of the image. For other than 3, pretrained weights of the
            first layer are repeated and scaled.
        options: Further arguments of the architecture, such as ``decoder_channels`` of
            ``unet`` or ``head_dilations`` of ``deeplabv2``; with an encoder of timm's
            also those of the encoder, but for ``deeplabv2``.

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
    _check_options(name, encoder, options or {})
    names: Sequence[str] = []
    if encoder == CAFFE_RESNET:
        if name != "deeplabv2":
            raise ValueError(
                f"encoder {encoder!r} must be that of model 'deeplabv2', got model"
                f" {name!r}; take resnet101"
            )
    elif encoder.startswith("tu-"):
        # A tag behind the dot names the weights, not the architecture.
        known = [f"tu-{known}" for known in timm.list_models()]
        _check_name("encoder", encoder.split(".")[0], known)
        names = ["imagenet"]  # which weights, the encoder's tag says
    else:
        more = [CAFFE_RESNET] if name == "deeplabv2" else []
        _check_name("encoder", encoder, [*get_encoder_names(), *more])
        names = list(smp.encoders.encoders[encoder]["pretrained_settings"])

    path = _local_file(encoder_weights)
    if encoder_weights is not None and path is None:
        if not names:
            raise ValueError(
                f"encoder_weights of {encoder!r} must be a file or None, got"
                f" {encoder_weights!r}; none are published by name"
            )
        _check_name("encoder_weights", encoder_weights, names)
    create = _deeplabv2 if name == "deeplabv2" else _create
    try:
        network: Any = create(
            name,
            encoder,
            None if path else encoder_weights,
            in_channels,
            num_classes,
            **(options or {}),
        )
    except (
        AssertionError,
        KeyError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ) as error:
        # Where timm asserts without a word, it is about the output stride.
        reason = str(error) or "it cannot be dilated"
        raise ValueError(
            f"model {name!r} cannot be built with encoder {encoder!r}: {reason}"
        ) from error
    pretrained = [] if encoder_weights is None else ["encoder"]
    if path:
        load_encoder(network.encoder, path)
        if name == "deeplabv2" and load_head(network.head, path):
            pretrained.append("head")
    # DeepLab-v2 takes images as they are.
    stride = 1 if name == "deeplabv2" else network.encoder.output_stride
    if name == "dpt":  # its decoder halves the last features once more
        stride = math.lcm(stride, 32)
    padded = SegmentationNetwork(network, num_classes, stride=stride)
    padded.pretrained = pretrained
    padded.smallest = _smallest_side(padded, name, encoder, in_channels)
    return padded


def _check_name(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=5) or sorted(known)[:5]
        raise ValueError(
            f"{kind} must be known, got {name!r}; did you mean {', '.join(near)}?"
        )


def _check_options(name: str, encoder: str, options: Mapping[str, Any]) -> None:
    """Refuse options that segmentation-models-pytorch would pass over in silence."""
    if name == "deeplabv2":
        known, open_ended = ["head_dilations"], False
    else:
        taken = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[name]).parameters
        known = [option for option in taken if option not in _FIXED]
        open_ended = encoder.startswith("tu-")  # timm refuses what it does not know
    for option in options:
        if option in _FIXED or not open_ended:
            _check_name(f"an option of {name}", option, known)


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
    name: str,
    encoder: str,
    weights: str | None,
    in_channels: int,
    num_classes: int,
    **options: Any,
) -> Any:
    # timm's weights go by the encoder's name; the flag only switches them on.
    flag = bool(weights) or None if encoder.startswith("tu-") else weights
    # A vision transformer takes images of one size, unless it is told otherwise.
    more = {"dynamic_img_size": True} if name == "dpt" else {}
    return smp.create_model(
        name, encoder, flag, in_channels, num_classes, **(more | options)
    )


def _deeplabv2(
    name: str,
    encoder: str,
    weights: str | None,
    in_channels: int,
    num_classes: int,
    **options: Any,
) -> DeepLabV2:
    if encoder == CAFFE_RESNET:
        features: Any = CaffeResNet101(in_channels)
        return DeepLabV2(features, features.channels, num_classes, **options)
    features = smp.encoders.get_encoder(
        encoder, in_channels, weights=weights, output_stride=8
    )
    return DeepLabV2(features, features.out_channels[-1], num_classes, **options)


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
