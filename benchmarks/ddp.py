"""Time training on two processes of DDP against one.

python benchmarks/ddp.py [--devices 2] [--steps 20] [--rounds 3] [--json FILE]

Each process has one thread and batches of its own, so that a ratio of 1 means twice the
images in the same time. Wall time of a step; it needs a core for each process.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from step import CASES, batch_of, loader, module_of
from timing import Report, arguments

SKIPPED = 5  # first steps, in which memory is allocated


class StepTimes(Callback):
    """Print the seconds from the end of one step to the end of the next."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        """Note the time."""
        self.marks.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, *rest: Any) -> None:
        """Print the mean time of a step, in the first process."""
        marks = self.marks[SKIPPED:]
        if trainer.is_global_zero:
            print((marks[-1] - marks[0]) / (len(marks) - 1), flush=True)


def train(name: str, devices: int, steps: int) -> None:
    """Train on ``devices`` processes and print the seconds of a step."""
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    _, _, size, images, _ = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            max_steps=steps + SKIPPED + 1,
            logger=False,
            callbacks=[StepTimes()],
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = loader(batch_of(size, images, "cpu"), (steps + SKIPPED + 1) * devices)
        trainer.fit(module_of(CASES[name]), batches)


def seconds_of_step(name: str, devices: int, steps: int) -> float:
    """Return the seconds of a step of a training in new processes."""
    command = [sys.executable, __file__, "--child", name, "--devices", str(devices)]
    command += ["--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Run all networks."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--devices", type=int, default=2, help="number of processes")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if options.child:
        train(options.child, options.devices, options.steps)
        return
    report = Report(options)
    for name in CASES:
        one, several = [], []
        for _ in range(options.rounds):
            one.append(seconds_of_step(name, 1, options.steps))
            several.append(seconds_of_step(name, options.devices, options.steps))
        report.add(
            f"step of {options.devices} processes, {name}",
            "one process",
            several,
            one,
        )
    report.write()


if __name__ == "__main__":
    main()
