"""Metadata of an exported network, as plain values for JSON."""

from importlib.metadata import version
from typing import Any

from lightning_classmix.colors import default_palette
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.modules.evaluation import EvaluationModule

_PACKAGES = ("lightning-classmix", "torch", "segmentation-models-pytorch", "timm")


def describe(
    module: EvaluationModule,
    network: SegmentationNetwork,
    *,
    name: str,
    checkpoint: dict[str, Any],
) -> dict[str, Any]:
    """Return the metadata of a network: classes, preprocessing, versions and score.

    Args:
        module: Module that the network belongs to.
        network: Network that is exported.
        name: Attribute name of the network, such as ``teacher``.
        checkpoint: Content of the checkpoint that the module was loaded from; empty for
            a module that was not loaded from a file.

    Returns:
        Plain values by key, with the same keys for every format.
    """
    preprocessing = module.preprocessing
    palette = module.palette or default_palette(module.num_classes)
    return {
        "network": name,
        "model": module.hparams.get("model"),
        "encoder": module.hparams.get("encoder"),
        "num_classes": module.num_classes,
        "class_names": module.class_names,
        "palette": [list(color) for color in palette],
        "in_channels": module.in_channels,
        "channels": "RGB" if module.in_channels == 3 else None,
        "value_range": [0.0, 1.0],
        "mean": [*preprocessing.mean],
        "std": [*preprocessing.std],
        "resize_to": preprocessing.size and [*preprocessing.size],
        "window": module.window and [*module.window],
        "flip_average": module.flip_average,
        "stride": network.stride,
        "smallest": network.smallest,
        "step": checkpoint.get("global_step", module.global_step),
        "score": checkpoint.get("score") or _score(checkpoint),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def _score(checkpoint: dict[str, Any]) -> dict[str, float]:
    """Return the monitored score of a checkpoint, by the name of the metric."""
    scores = {}
    for state in checkpoint.get("callbacks", {}).values():
        monitor = isinstance(state, dict) and state.get("monitor")
        if monitor and state.get("current_score") is not None:
            scores[monitor] = float(state["current_score"])
    return scores
