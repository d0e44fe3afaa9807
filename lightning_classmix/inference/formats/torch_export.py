"""The export format ``torch_export``: a program for ``torch.export.load``."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.inference.formats.tracing import (
    TOLERANCE,
    Size,
    any_size_or_one,
    relative_difference,
    smallest_side,
    trace_any_size,
    trace_one_size,
)


@torch.no_grad()
def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``model.pt2``, for images of any size if torch can trace the padding.

    Otherwise the sides must be multiples of the stride, or images have one size.

    Raises:
        ValueError: If the logits differ from those of the module by more than 0.1 % of
            the largest logit.
    """
    network = exported.network
    channels = exported.module.in_channels
    step = network.stride
    least = smallest_side(network)
    program: Any = None
    rule: Any = {"at_least": least}

    def attempt(size: Size | None) -> float:
        nonlocal program, rule
        if size is not None:
            program = trace_one_size(network, channels, size)
            return _compare(exported, program, [size] * 3)
        sizes = [(least, 2 * least + 5), (3 * least + 7, least), (64 + step, 96 + step)]
        try:
            program = trace_any_size(network, channels, pad=True)
        except Exception:  # torch raises many kinds
            rule = {"multiple_of": step}
            program = trace_any_size(network, channels)
            units = [-(-network.smallest // step) + n for n in (2, 3, 5)]
            sizes = [(step * n, step * (n + 1)) for n in units]
        return _compare(exported, program, sizes)

    size, difference = any_size_or_one(exported, attempt, target="")
    if difference > TOLERANCE:
        raise ValueError(
            "the exported program must have the logits of the module, got a relative"
            f" difference of {difference:.1e}; use format 'safetensors'"
        )
    if size is not None:
        rule = [*size]
    rank_zero_info(
        f"image size: {rule}; largest difference to the module: {difference:.1e} of the"
        " largest logit"
    )
    exported.metadata["image_size"] = rule
    exported.metadata["largest_difference"] = difference
    buffer = io.BytesIO()  # on a full disk, torch would abort the process
    extra_files = {"model.json": json.dumps(exported.metadata)}
    torch.export.save(program, buffer, extra_files=extra_files)
    (folder / "model.pt2").write_bytes(buffer.getbuffer())
    return ["model.pt2"]


def _compare(exported: Exported, program: Any, sizes: list[tuple[int, int]]) -> float:
    generator = torch.Generator().manual_seed(0)
    run = program.module()
    differences = []
    for index, (height, width) in enumerate(sizes):
        shape = (index + 1, exported.module.in_channels, height, width)
        image = torch.randn(shape, generator=generator)
        differences.append(relative_difference(run(image), exported.network(image)))
    return max(differences)
