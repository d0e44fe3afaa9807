"""Pretrained weights: published encoders by name, and local files."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from lightning.pytorch.utilities import rank_zero_info
from segmentation_models_pytorch.encoders import TimmUniversalEncoder
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from lightning_classmix.models.deeplabv2 import CAFFE_RESNET
from lightning_classmix.models.downloads import SERVER, offline_if_unreachable
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.weights import few, read_state
from lightning_classmix.ops.ranges import check_known

# Layers of a classifier, which a segmentation encoder does not have.
_CLASSIFIER = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")
_HEAD = "layer5."  # the head of DeepLab-v2, in files of the whole network


def load_pretrained(
    network: SegmentationNetwork,
    name: str,
    encoder: str,
    encoder_weights: str,
    *,
    in_channels: int = 3,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Load pretrained weights into the encoder of a network that `build_model` built.

    The head of ``deeplabv2`` is loaded too if the file has a head (``layer5``) of as
    many classes. All other weights stay as they are.

    Args:
        network: Network built with the same arguments.
        name: Architecture of the network. ``small_unet`` has no encoder, and ignores
            names of weights.
        encoder: Name of the encoder.
        encoder_weights: Name of published weights to download, such as ``imagenet``, or
            path of a file of tensors with the key names of torchvision, timm or
            segmentation-models-pytorch.
        in_channels: Number of image channels. If it is not 3, the weights of the first
            layer are repeated and scaled.
        options: Further arguments of the architecture.

    Raises:
        ValueError: If the name is unknown or the file does not fit; the error lists the
            keys.
        FileNotFoundError: If ``encoder_weights`` is a path that does not exist.
    """
    model: Any = network.network
    path = _local_file(encoder_weights)
    if name == "small_unet":
        if path is not None:
            raise ValueError(
                f"encoder_weights must be None for small_unet, got {path}; it has no"
                " encoder"
            )
    elif path is not None:
        _load_encoder_file(model.encoder, path)
        if name == "deeplabv2":
            _load_head_file(model.head, path)
    else:
        _check_weights(encoder, encoder_weights)
        source = _published_encoder(
            model.encoder, name, encoder, encoder_weights, in_channels, options or {}
        )
        model.encoder.load_state_dict(source.state_dict())


def any_size_options(name: str, encoder: str) -> dict[str, Any]:
    """Return the options with which an encoder of timm accepts images of any size.

    For ``dpt``, they leave out the classifier too.

    Args:
        name: Architecture that the encoder is built for.
        encoder: Name of the encoder.
    """
    options: dict[str, Any] = {}
    if encoder.startswith("tu-") and "swin" in encoder:
        options["strict_img_size"] = False
    elif name == "dpt":
        options["dynamic_img_size"] = True
    return options | ({"num_classes": 0} if name == "dpt" else {})


def _local_file(encoder_weights: str) -> Path | None:
    """Return the file that ``encoder_weights`` is the path of, if it is a path."""
    path = Path(encoder_weights)
    if path.is_file():
        return path
    if len(path.parts) > 1 or path.suffix in (".pth", ".pt", ".bin", ".ckpt"):
        raise FileNotFoundError(
            f"encoder_weights must be a file, got {encoder_weights}"
        )
    return None


def _check_weights(encoder: str, weights: str) -> None:
    """Raise a ValueError if there are no published weights of this name."""
    if encoder == CAFFE_RESNET:
        raise ValueError(
            f"encoder_weights of {encoder!r} must be a file or None, got {weights!r};"
            " no weights are published by name"
        )
    names = ["imagenet"]  # for timm, the tag of the encoder's name says which
    if not encoder.startswith("tu-"):
        names = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    check_known("encoder_weights", weights, names)


def _published_encoder(
    like: nn.Module,
    name: str,
    encoder: str,
    weights: str,
    in_channels: int,
    options: Mapping[str, Any],
) -> nn.Module:
    """Build an encoder like ``like``, alone, with published weights."""
    depth, more = 5, {}
    if name != "deeplabv2":
        parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[name]).parameters
        depth = options.get("encoder_depth", parameters["encoder_depth"].default)
        more = any_size_options(name, encoder) | {
            key: options[key] for key in options if key not in parameters
        }
    try:
        with offline_if_unreachable():
            if encoder.startswith("tu-"):
                return type(like)(
                    name=encoder.removeprefix("tu-"),
                    in_channels=in_channels,
                    depth=depth,
                    pretrained=True,
                    **more,
                )
            built: nn.Module = smp.encoders.get_encoder(
                encoder, in_channels, depth=depth, weights=weights
            )
    except OSError as error:
        raise ValueError(
            f"encoder_weights {weights!r} of {encoder!r} must be downloaded, and"
            f" {SERVER} cannot be reached; give the path"
            " of a file, or null for random weights"
        ) from error
    except RuntimeError as error:
        raise ValueError(
            f"encoder_weights of {encoder!r} must be published, got {weights!r}:"
            f" {error}"
        ) from error
    return built


def _load_encoder_file(encoder: nn.Module, path: Path) -> None:
    """Load a file into an encoder, without the classifier in the file."""
    state = read_state(path, "encoder_weights")
    own = encoder.state_dict()
    inner = getattr(encoder, "model", None)
    if isinstance(inner, VisionTransformer):  # resizes the position embedding
        state = checkpoint_filter_fn(state, inner)
    if isinstance(encoder, TimmUniversalEncoder):
        state = _timm_features(state, encoder)
    deeper = {f"model.{key}": value for key, value in state.items()}
    if not state.keys() & own.keys() and deeper.keys() & own.keys():
        state = deeper  # smp holds timm's encoders one level deeper
    state = {
        key: value
        for key, value in state.items()
        if key in own
        or not key.removeprefix("model.").startswith((*_CLASSIFIER, _HEAD))
    }
    for key in own.keys() & state.keys():
        if state[key].ndim == 4 and state[key].shape[1] == 3 != own[key].shape[1]:
            state[key] = adapt_input_conv(own[key].shape[1], state[key])

    # Old files lack the batch counters, which are not used.
    missing = [
        key for key in own.keys() - state if not key.endswith("num_batches_tracked")
    ]
    misfits = [
        f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected or misfits:
        raise ValueError(
            f"encoder_weights must fit the encoder, got {path} with missing keys"
            f" {few(missing)}, unexpected keys {few(unexpected)} and shapes that"
            f" differ {few(misfits)}"
        )
    nn.Module.load_state_dict(encoder, state, strict=False)


def _timm_features(
    state: dict[str, Tensor], encoder: TimmUniversalEncoder
) -> dict[str, Tensor]:
    """Return the tensors of a timm model that its features need, by the encoder's keys.

    Tensors with other keys but with the shapes of the model, in its order, are taken by
    their position; so files of other EfficientNet implementations can be read.
    """
    with torch.device("meta"):
        model = timm.create_model(encoder.name).state_dict()
    state = {key.removeprefix("model."): value for key, value in state.items()}
    if not state.keys() & model.keys() and _kinds(state) == _kinds(model):
        state = dict(zip(model, state.values(), strict=True))
    # timm flattens lists of layers: stages.0 of the model is stages_0 of its features.
    own = {key.replace(".", "_"): key for key in encoder.state_dict()}
    features = {}
    for key, value in state.items():
        name = own.get(f"model.{key}".replace(".", "_"))
        if name is not None or key not in model:
            features[name or key] = value
    return features


def _kinds(state: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Return the last part of each key, such as ``running_mean``, and each shape."""
    return [(key.rpartition(".")[2], value.shape) for key, value in state.items()]


def _load_head_file(head: nn.ModuleList, path: Path) -> None:
    """Load the head of DeepLab-v2, if the file has a head of as many classes."""
    prefix = f"{_HEAD}conv2d_list."
    state = {
        key.removeprefix(prefix): value
        for key, value in read_state(path, "encoder_weights").items()
        if key.startswith(prefix)
    }
    own = {key: value.shape for key, value in head.state_dict().items()}
    if own == {key: value.shape for key, value in state.items()}:
        head.load_state_dict(state)
    elif state:
        rank_zero_info(
            f"the head keeps its initial weights: the head in {path} has other classes"
        )
