"""Build the student network, and read the weights from which training starts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lightning_classmix.models.build import build_model
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pretrained import load_pretrained
from lightning_classmix.models.weights import load_student


class InitialWeights:
    """Files and names of initial weights, which are read when training starts.

    Args:
        load_encoder: Loads pretrained weights into the encoder of a network; None
            leaves its weights random.
        student_weights: Path of the weights of the whole network, loaded afterwards;
            None loads none.
    """

    def __init__(
        self,
        load_encoder: Callable[[SegmentationNetwork], None] | None,
        student_weights: str | Path | None,
    ) -> None:
        self.load_encoder = load_encoder
        self.student_weights = student_weights

    @property
    def pending(self) -> bool:
        """Whether there are weights that have not been read."""
        return self.load_encoder is not None or self.student_weights is not None

    def read(self, student: SegmentationNetwork) -> None:
        """Read the weights into a network; later calls do nothing.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If a file does not fit the network.
        """
        if self.load_encoder is not None:
            self.load_encoder(student)
        if self.student_weights is not None:
            load_student(student, Path(self.student_weights))
        self.skip()

    def skip(self) -> None:
        """Do not read the weights, as after a checkpoint was loaded."""
        self.load_encoder = None
        self.student_weights = None


def build_student(
    num_classes: int,
    *,
    model: str,
    encoder: str,
    encoder_weights: str | None,
    options: dict[str, Any] | None,
    in_channels: int,
    network: nn.Module | None,
    backbone: str | None,
    student_weights: str | Path | None,
) -> tuple[SegmentationNetwork, InitialWeights]:
    """Build or wrap the network to train, with random weights.

    Args:
        num_classes: Number of classes, C.
        model: Architecture, as for `build_model`.
        encoder: Encoder, as for `build_model`.
        encoder_weights: Pretrained weights, as for `load_pretrained`; None for none.
        options: Further arguments of the architecture.
        in_channels: Number of image channels.
        network: Network to wrap in place of ``model`` and ``encoder``; None builds it.
        backbone: Attribute name of the backbone of ``network``.
        student_weights: Path of the weights of the whole network; None for none.

    Returns:
        The network, and the weights to read when training starts.

    Raises:
        ValueError: If a name is unknown, or ``network`` cannot be trained.
    """
    if network is not None:
        student = SegmentationNetwork(network, num_classes, backbone=backbone)
        return student, InitialWeights(None, student_weights)
    if backbone is not None:
        raise ValueError(
            f"backbone must be None without network=, got {backbone!r}; the backbone of"
            f" model {model!r} is its encoder"
        )
    shape: dict[str, Any] = {"in_channels": in_channels, "options": options}
    load_encoder = None
    if encoder_weights is not None:
        load_encoder = partial(
            load_pretrained,
            name=model,
            encoder=encoder,
            encoder_weights=encoder_weights,
            **shape,
        )
    student = build_model(model, encoder, num_classes, **shape)
    return student, InitialWeights(load_encoder, student_weights)
