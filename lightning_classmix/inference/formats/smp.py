"""The export format ``smp``: a folder for segmentation-models-pytorch."""

from pathlib import Path
from typing import Any

from lightning_classmix.inference.formats.exported import Exported


def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``config.json``, ``model.safetensors`` and a model card.

    Raises:
        ValueError: If segmentation-models-pytorch does not have the architecture.
    """
    inner: Any = exported.network.network
    known = type(inner).__module__.startswith("segmentation_models_pytorch.")
    if not known:
        raise ValueError(
            "format 'smp' must export an architecture of segmentation-models-pytorch,"
            f" got {type(inner).__name__}; use 'safetensors'"
        )
    inner.save_pretrained(folder)
    exported.metadata["image_size"] = {"multiple_of": exported.network.stride}
    return ["config.json", "model.safetensors", "README.md"]
