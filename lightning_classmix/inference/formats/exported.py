"""The network that is exported, with all that a format may write about it."""

from dataclasses import dataclass
from typing import Any

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.modules.evaluation import EvaluationModule


@dataclass(frozen=True)
class Exported:
    """The network that is exported, with all that a format may write about it.

    Args:
        module: Module that the network belongs to.
        network: Copy of the network, float32, on the CPU and in eval mode.
        metadata: Metadata by key, which a format may add to.
        checkpoint: Content of the checkpoint; empty for a module in memory.
    """

    module: EvaluationModule
    network: SegmentationNetwork
    metadata: dict[str, Any]
    checkpoint: dict[str, Any]
