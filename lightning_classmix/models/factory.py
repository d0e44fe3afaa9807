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
from timm.models import adapt_input_conv
from torch import Tensor, nn

from lightning_classmix.models.network import SegmentationNetwork

MODELS = tuple(smp.MODEL_ARCHITECTURES_MAPPING)
"""Names that `build_model` takes."""

# Layers of a classifier, which a segmentation encoder has no use for.
_CLASSIFIER = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")


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
    else:
        _check_name("encoder", encoder, get_encoder_names())

    path = _local_file(encoder_weights)
    network = _create(
        name, encoder, None if path else encoder_weights, in_channels, num_classes
    )
    if path:
        _load_file(network.encoder, path)
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


def _load_file(encoder: nn.Module, path: Path) -> None:
    """Load a local file of weights into the encoder; a classifier in it is left out."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    own = encoder.state_dict()
    wrapped = not state.keys() & own.keys()  # timm's encoders lie one level deeper
    loaded: dict[str, Tensor] = {}
    for key, value in state.items():
        target = f"model.{key}" if wrapped else key
        if target in own or not key.startswith(_CLASSIFIER):
            loaded[target] = _fit_channels(value, own.get(target))

    missing = [key for key in own if key not in loaded]
    unexpected = [key for key in loaded if key not in own]
    misfits = [
        f"{key} {tuple(loaded[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in loaded and loaded[key].shape != own[key].shape
    ]
    # Old files lack the batch counters, which nothing depends on.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected or misfits:
        raise ValueError(
            f"encoder_weights must fit the encoder, got {path} with missing keys"
            f" {_few(missing)}, unexpected keys {_few(unexpected)} and shapes that"
            f" differ {_few(misfits)}"
        )
    nn.Module.load_state_dict(encoder, loaded, strict=False)


def _fit_channels(value: Tensor, own: Tensor | None) -> Tensor:
    """Repeat the weights of a first layer for RGB to fit other channels."""
    if own is None or value.ndim != 4 or value.shape[1] != 3 or own.shape[1] == 3:
        return value
    fitted: Tensor = adapt_input_conv(own.shape[1], value)
    return fitted


def _few(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:5]) or "none"
    return f"{shown} and {len(keys) - 5} more" if len(keys) > 5 else shown


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
