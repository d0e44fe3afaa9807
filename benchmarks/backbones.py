"""Train networks of several families for some steps of ClassMix, from random weights.

python benchmarks/backbones.py [--steps 12] [--only dpt] [--json FILE]

Each network is trained by a Trainer on generated scenes of 64 x 96 pixels, 4 labeled
and 4 unlabeled images a step, in a process of its own: parameters of the student,
processor time of a step (median, the first two steps left out), and the largest memory
of the process, in which the imports are included.
"""

import json
import resource
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from timing import arguments

from lightning_classmix import ClassMix, StreetScenesDataModule

# model, encoder
NETWORKS = [
    ("small_unet", "resnet18"),
    ("unet", "resnet18"),
    ("unetplusplus", "densenet121"),
    ("fpn", "mobilenet_v2"),
    ("deeplabv3plus", "efficientnet-b0"),
    ("segformer", "mit_b0"),
    ("upernet", "tu-convnext_atto"),
    ("pspnet", "tu-regnetx_002"),
    ("linknet", "tu-mobilenetv3_small_100"),
    ("dpt", "tu-vit_small_patch14_dinov2.lvd142m"),
]


class StepTimes(Callback):
    """Note the processor time of every training step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        """Note the start of a step."""
        self.start = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the end of a step, the teacher's update included."""
        self.seconds.append(time.process_time() - self.start)


def measure(model: str, encoder: str, steps: int) -> dict[str, Any]:
    """Train one network, and return what the table shows."""
    torch.set_num_threads(1)
    data = StreetScenesDataModule(
        labeled=4, unlabeled=16, val=0, test=2, size=(64, 96), num_workers=0
    )
    module = ClassMix(
        data.num_classes,
        model=model,
        encoder=encoder,
        encoder_weights=None,
        labeled_only_steps=0,
        ramp_steps=0,
    )
    times = StepTimes()
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar"), False
    )
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        callbacks=[times],
        enable_model_summary=False,
        **quiet,
    )
    trainer.fit(module, data)
    scores = trainer.test(module, data, verbose=False)[0]
    return {
        "model": model,
        "encoder": encoder,
        "parameters": sum(p.numel() for p in module.student.parameters()),
        "seconds": median(times.seconds[2:]),
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "miou": scores["test_miou"],
    }


def main() -> None:
    """Train all networks, each in a new process, and print a table."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--only", default="", help="part of a model or encoder")
    parser.add_argument("--one", type=int, help="train one network, print JSON")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(*NETWORKS[options.one], options.steps)))
        return
    print("| model | encoder | parameters, M | step, ms | memory, GiB |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for index, names in enumerate(NETWORKS):
        if not any(options.only in name for name in names):
            continue
        command = [sys.executable, "-W", "ignore", __file__, "--one", str(index)]
        command += ["--steps", str(options.steps)]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(output.stdout.splitlines()[-1])
        rows.append(row)
        print(
            f"| {row['model']} | {row['encoder']} | {row['parameters'] / 1e6:.1f} |"
            f" {1000 * row['seconds']:.0f} | {row['bytes'] / 2**30:.2f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
