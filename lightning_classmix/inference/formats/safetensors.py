"""The export format ``safetensors``: weights by key, readable by any framework."""

import json
from pathlib import Path

from safetensors.torch import save

from lightning_classmix.inference.formats.exported import Exported


def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``model.safetensors`` with the key names of the inner network."""
    inner = exported.network.network
    state = {key: value.contiguous() for key, value in inner.state_dict().items()}
    header = {"format": "pt", "lightning_classmix": json.dumps(exported.metadata)}
    # save_file hides the error of a full disk.
    (folder / "model.safetensors").write_bytes(save(state, metadata=header))
    return ["model.safetensors"]
