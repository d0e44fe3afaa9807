"""Build segmentation networks by name."""

import inspect
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import nn

from lightning_classmix.models.deeplabv2 import (
    CAFFE_RESNET,
    CaffeResNet101,
    DeepLabV2,
)
from lightning_classmix.models.dpt import AnyPatchDPT
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pretrained import any_size_options, load_pretrained
from lightning_classmix.models.probe import keep_modes
from lightning_classmix.models.small_unet import SmallUNet
from lightning_classmix.ops.ranges import check_known, similar

MODELS = (*smp.MODEL_ARCHITECTURES_MAPPING, "deeplabv2", "small_unet")
"""Names that `build_model` accepts."""

# Parameters of an architecture that `build_model` sets itself, or that would make it
# return something other than logits.
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
    """Build a segmentation network from the names of its architecture and encoder.

    Args:
        name: Architecture of segmentation-models-pytorch, such as ``unet``, ``fpn`` or
            ``deeplabv3plus``; or ``deeplabv2`` (`DeepLabV2`) or ``small_unet``
            (`SmallUNet`, which has no encoder and ignores ``encoder``).
        encoder: Backbone, such as ``resnet50``; any backbone of timm as ``tu-<name>``;
            ``caffe_resnet101`` (`CaffeResNet101`) for ``deeplabv2``.
        num_classes: Number of classes, C.
        encoder_weights: Pretrained weights, as in `load_pretrained`; random weights if
            None.
        in_channels: Number of image channels.
        options: Further arguments of the architecture, such as ``decoder_channels`` of
            ``unet``, ``head_dilations`` of ``deeplabv2`` or ``width`` of
            ``small_unet``. With ``caffe_resnet101`` also its ``channel_order``. With an
            encoder of timm also those of the encoder, except for ``deeplabv2``.

    Returns:
        A network whose logits have the size of the image, for images of any size.

    Raises:
        ValueError: If a name is unknown (the error lists similar names), architecture
            and encoder cannot be combined, or the weights do not fit the encoder.
        FileNotFoundError: If ``encoder_weights`` is a path that does not exist.

    Example:
        >>> network = build_model("unet", "resnet18", num_classes=5)
        >>> network(torch.zeros(1, 3, 50, 70)).shape
        torch.Size([1, 5, 50, 70])
    """
    options = options or {}
    check_known("model", name, MODELS)
    if name != "small_unet":
        _check_encoder(name, encoder)
    _check_options(name, encoder, options)
    try:
        network: Any = _build(name, encoder, in_channels, num_classes, options)
    except (
        AssertionError,
        KeyError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ) as error:
        reason = _explain(name, error)
        raise ValueError(
            f"model {name!r} cannot be built with encoder {encoder!r}: {reason}"
        ) from error
    # DeepLab-v2 and the small U-Net accept images of any size.
    stride = 1 if name in ("deeplabv2", "small_unet") else network.encoder.output_stride
    if name == "dpt":  # its decoder halves the last features once more
        own = isinstance(network, AnyPatchDPT)
        stride = 2 * stride if own else math.lcm(stride, 32)
    padded = SegmentationNetwork(network, num_classes, stride=stride)
    padded.smallest = _smallest_side(padded, name, encoder, in_channels)
    if encoder_weights is not None:
        load_pretrained(
            padded,
            name,
            encoder,
            encoder_weights,
            in_channels=in_channels,
            options=options,
        )
    return padded


def _check_encoder(name: str, encoder: str) -> None:
    if encoder.startswith("tu-"):
        # The tag after the dot names the weights, not the architecture.
        known = [f"tu-{model}" for model in timm.list_models()]
        check_known("encoder", encoder.split(".")[0], known)
    elif encoder != CAFFE_RESNET:
        more = [CAFFE_RESNET] if name == "deeplabv2" else []
        check_known("encoder", encoder, [*get_encoder_names(), *more])
    elif name != "deeplabv2":
        raise ValueError(
            f"encoder {encoder!r} must be combined with model 'deeplabv2', got model"
            f" {name!r}; use resnet101"
        )


def _check_options(name: str, encoder: str, options: Mapping[str, Any]) -> None:
    """Raise a ValueError for options that would be ignored without a message."""
    any_option = False
    if name == "small_unet":
        known = ["width"]
    elif name == "deeplabv2":
        known = ["head_dilations"]
        if encoder == CAFFE_RESNET:
            known.append("channel_order")
    else:
        parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[name]).parameters
        known = [option for option in parameters if option not in _FIXED]
        any_option = encoder.startswith("tu-")  # timm refuses unknown options itself
    for option in options:
        if option not in known and (option in _FIXED or not any_option):
            remedy = similar(option, known) or "; null removes those of a recipe"
            raise ValueError(
                f"model_options of {name} with encoder {encoder!r} must be among"
                f" {', '.join(known)}, got {option!r}{remedy}"
            )


def _build(
    name: str,
    encoder: str,
    in_channels: int,
    num_classes: int,
    options: Mapping[str, Any],
) -> nn.Module:
    if name == "small_unet":
        return SmallUNet(num_classes, in_channels=in_channels, **options)
    if name == "deeplabv2" and encoder == CAFFE_RESNET:
        head = {key: options[key] for key in options if key != "channel_order"}
        order = options.get("channel_order", "rgb")
        caffe = CaffeResNet101(in_channels, channel_order=order)
        return DeepLabV2(caffe, caffe.channels, num_classes, **head)
    if name == "deeplabv2":
        features = smp.encoders.get_encoder(
            encoder, in_channels, weights=None, output_stride=8
        )
        return DeepLabV2(features, features.out_channels[-1], num_classes, **options)
    arguments: dict[str, Any] = {
        "encoder_name": encoder,
        "encoder_weights": None,
        "in_channels": in_channels,
        "classes": num_classes,
        **any_size_options(name, encoder),
        **options,
    }
    patch = re.search(r"patch(\d+)", encoder)
    if name == "dpt" and patch and int(patch[1]).bit_count() > 1:
        return AnyPatchDPT(**arguments)
    network: nn.Module = smp.MODEL_ARCHITECTURES_MAPPING[name](**arguments)
    return network


def _explain(name: str, error: Exception) -> str:
    """Return why a network cannot be built, with a remedy where there is one."""
    # The assertions of timm without a message concern the output stride.
    reason = str(error) or "it cannot be dilated"
    if "downsampling pattern" in reason and name != "deeplabv2":
        return f"{reason} Use model 'dpt' for a vision transformer"
    if "unexpected keyword argument 'dynamic_img_size'" in reason:
        return "it is not a vision transformer that accepts images of any size"
    return reason


@torch.no_grad()
def _smallest_side(
    network: SegmentationNetwork, name: str, encoder: str, in_channels: int
) -> int:
    """Return the smallest image side that the network accepts, by trying some sizes."""
    reason: Exception | None = None
    with keep_modes(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.eval()
        for side in (64, 128, 256):
            try:
                network(torch.zeros(1, in_channels, side, side))
            except Exception as error:
                reason = reason or error
                continue
            return 1 if side == 64 else side
    raise ValueError(
        f"model {name!r} with encoder {encoder!r} must accept images of any size,"
        f" got an error: {reason}"
    ) from reason
