"""The export format ``torch_export``: a program for ``torch.export.load``."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.inference.formats.tracing import (
    TOLERANCE,
    relative_difference,
    trace_any_size,
    trace_one_size,
)

_FIXED = (512, 512)  # size in pixels if neither the data nor the window have one


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
    size = exported.module.preprocessing["size"] or exported.module.window or _FIXED
    rule: Any = {"multiple_of": step} if step > 1 else "any"
    sizes = [(64, 96), (70, 51), (32, 133)]
    if step > 1:
        sizes = [(2 * step, 3 * step), (5 * step, 2 * step), (7 * step, 4 * step)]
    sizes = [(max(h, network.smallest), max(w, network.smallest)) for h, w in sizes]
    try:
        program = trace_any_size(network, channels)
        difference = _compare(exported, program, sizes)
    except Exception as error:  # torch raises many kinds for size-dependent networks
        difference = float("inf")
        reason = str(error).partition("\n")[0]
    if difference > TOLERANCE:
        if difference < float("inf"):
            reason = f"the logits differ by {difference:.1e} at other sizes"
        rank_zero_warn(
            f"{type(network.network).__name__} can be exported for one image size only,"
            f" here {size[0]} x {size[1]}: {reason}"
        )
        rule = [*size]
        program = trace_one_size(network, channels, (size[0], size[1]))
        difference = _compare(exported, program, [(size[0], size[1])] * 3)
    if difference > TOLERANCE:
        raise ValueError(
            "the exported program must have the logits of the module, got a relative"
            f" difference of {difference:.1e}; use format 'safetensors'"
        )
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
