"""Refuse a single image where batch norm needs more."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def check_pooled_norm(network: nn.Module, image: Tensor) -> None:
    """Check that a network with batch norm can be trained on a batch of one image.

    Batch norm after a global pooling, as in DeepLab's head, sees one value per channel
    then, which has no variance.

    Args:
        network: Network to train; a copy of it processes ``image``.
        image: Images of a training batch, float ``(B, C_in, H, W)``.

    Raises:
        ValueError: If the network needs at least two images.
    """
    if len(image) > 1 or not any(isinstance(m, _BatchNorm) for m in network.modules()):
        return
    try:
        with torch.no_grad():
            copy.deepcopy(network)(image)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "the labeled batch must hold at least 2 images, got 1; the network has"
            f" batch norm after a global pooling: {error}"
        ) from error
