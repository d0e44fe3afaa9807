"""Time augmentation, validation metrics and window prediction against a network.

python benchmarks/parts.py [--device cuda] [--threads 1] [--side 2000] [--json FILE]
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import Clock, Report, arguments, memory_of_process
from torch import nn

from lightning_classmix import Predictor, Supervised, build_model, ops
from lightning_classmix.augment import StrongAugment
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD

NETWORKS = [("fpn", "mobilenet_v2"), ("deeplabv3plus", "resnet50")]
WINDOW = 512
WINDOWS_AT_ONCE = 4


def time_augmentation(
    network: nn.Module, name: str, report: Report, clock: Any
) -> None:
    """Compare the strong augmentation with the student's forward."""
    device = report.options.device
    augment = StrongAugment(IMAGENET_MEAN, IMAGENET_STD).to(device)
    for batch, side in ((4, 160), (4, 321)):
        image = torch.randn(batch, 3, side, side, device=device)
        network.train()
        seconds = clock.interleave(
            {
                "augment": lambda x=image: augment(x),
                "forward": lambda x=image: network(x),
            },
            3 * report.options.rounds,
        )
        report.add(
            f"strong augmentation, {batch} of {side}x{side}",
            f"forward, {name}",
            seconds["augment"],
            seconds["forward"],
            target="<= 0.15" if clock.cuda else "<= 0.25",
        )


def time_metric(network: nn.Module, name: str, report: Report, clock: Any) -> None:
    """Compare the update of all validation metrics with the network's forward."""
    device = report.options.device
    module: Any = Supervised(19, network=nn.Identity())
    module.trainer = None
    metrics: Any = module.configure_metrics().to(device)
    logits = torch.randn(1, 19, 64, 128, device=device)
    predicted = nn.functional.interpolate(logits, scale_factor=8).argmax(1)
    label = predicted.roll(9, 2)
    label[:, :20] = ops.VOID
    image = torch.randn(1, 3, 512, 1024, device=device)
    network.eval()
    metrics.update(predicted, label)  # torchmetrics finds what can be shared
    with torch.no_grad():
        seconds = clock.interleave(
            {
                "metric": lambda: metrics.update(predicted, label),
                "forward": lambda: network(image),
            },
            report.options.rounds,
        )
    report.add(
        "validation metrics, 512x1024, 19 classes",
        f"forward, {name}",
        seconds["metric"],
        seconds["forward"],
        target="<= 0.05",
    )


def time_windows(network: nn.Module, name: str, report: Report, clock: Any) -> None:
    """Compare the prediction of a large image with the forward on its windows."""
    options = report.options
    module: Any = Supervised(19, network=network.eval()).eval().to(options.device)
    predictor = Predictor(
        module,
        window=(WINDOW, WINDOW),
        batch_size=WINDOWS_AT_ONCE,
        device=options.device,
    )
    side = options.side
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    columns = len(ops.window_starts(side, WINDOW))
    sizes = [
        min(WINDOWS_AT_ONCE, columns - first)
        for _ in range(columns)
        for first in range(0, columns, WINDOWS_AT_ONCE)
    ]
    crop = torch.randn(WINDOWS_AT_ONCE, 3, WINDOW, WINDOW, device=options.device)

    @torch.no_grad()
    def forward() -> None:
        for size in sizes:
            module.student(crop[:size])

    with torch.no_grad():
        module.student(crop)
    memory = 0.0
    if clock.cuda:
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")
        memory = memory_of_process("VmRSS")
    once = side > 4000  # takes minutes
    seconds = clock.interleave(
        {"predict": lambda: predictor(image), "forward": forward},
        rounds=1 if once else min(3, options.rounds),
        warm_up=not once,
    )
    if clock.cuda:
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        memory = memory_of_process("VmHWM") - memory
    report.add(
        f"prediction of {side}x{side} by windows of {WINDOW}",
        f"forward of the windows, {name}",
        seconds["predict"],
        seconds["forward"],
        target="<= 1.15",
        note=f"{memory:.0f} MB added at the peak",
    )


def main() -> None:
    """Run all parts."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--side", type=int, default=2000, help="side of the large image"
    )
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    report = Report(options)
    clock = Clock(options.device, options.threads)
    for model, encoder in NETWORKS:
        network = build_model(model, encoder, 19).to(options.device)
        name = f"{model} {encoder}"
        time_augmentation(network, name, report, clock)
        time_metric(network, name, report, clock)
    model, encoder = NETWORKS[0]
    network = build_model(model, encoder, 19).to(options.device)
    time_windows(network, f"{model} {encoder}", report, clock)
    report.write()


if __name__ == "__main__":
    main()
