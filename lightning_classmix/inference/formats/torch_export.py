"""The export format ``torch_export``: a program for ``torch.export.load``."""

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
    trace_any_size,
    trace_one_size,
)


@torch.no_grad()
def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``model.pt2`` for images whose sides are multiples of the stride.

    Raises:
        ValueError: If the logits differ from those of the module by more than 0.1 % of
            the largest logit.
    """
    network = exported.network
    channels = exported.module.in_channels
    step = network.stride
    sizes = [(64, 96), (70, 51), (32, 133)]
    if step > 1:
        sizes = [(2 * step, 3 * step), (5 * step, 2 * step), (7 * step, 4 * step)]
    sizes = [(max(h, network.smallest), max(w, network.smallest)) for h, w in sizes]
    program: Any = None

    def attempt(size: Size | None) -> float:
        nonlocal program
        if size is None:
            program = trace_any_size(network, channels)
            return _compare(exported, program, sizes)
        program = trace_one_size(network, channels, size)
        return _compare(exported, program, [size] * 3)

    size, difference = any_size_or_one(exported, attempt, target="")
    if difference > TOLERANCE:
        raise ValueError(
            "the exported program must have the logits of the module, got a relative"
            f" difference of {difference:.1e}; use format 'safetensors'"
        )
    rule: Any = {"multiple_of": step} if step > 1 else "any"
    if size is not None:
        rule = [*size]
    rank_zero_info(
        f"image size: {rule}; largest difference to the module: {difference:.1e} of the"
        " largest logit"
    )
    exported.metadata["image_size"] = rule
    exported.metadata["largest_difference"] = difference
    torch.export.save(
        program,
        folder / "model.pt2",
        extra_files={"model.json": json.dumps(exported.metadata)},
    )
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
