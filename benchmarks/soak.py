"""Train a tiny network for many steps, and look for what grows or slows down.

python benchmarks/soak.py [--steps 20000] [--workers 0]

The run validates, and writes checkpoints and pictures, 40 times or every 500 steps,
with the callbacks of the command line. Printed are the slope of the memory of this
process and of its workers per 1,000 steps, the numbers of open files and threads, and
the time of a step at the end against the start. Memory, files and threads are those of
the second half: until then caches fill. The status is 1 if files or threads grow, if
memory grows by more than 1 MiB per 1,000 steps, or if steps become 5 % slower.
Times depend on what else the machine does; the processor time of this process less so.
Linux only.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from lightning_classmix import AtomicCheckpointIO, ClassMix, FolderDataModule
from lightning_classmix.callbacks import (
    LastCheckpoint,
    Pictures,
    PseudoLabelHealth,
    StopOnSignal,
)
from lightning_classmix.callbacks.validation_record import ValidationRecord
from lightning_classmix.models.small_unet import SmallUNet

SAMPLES = 200  # measurements of memory, files and threads
SIZE = 32


class Measure(Callback):
    """Measure memory in MiB, open files, threads, and the time of every step."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.rows: list[tuple[int, float, float, int, int]] = []
        self.wall: list[float] = []
        self.processor: list[float] = []
        self._start = (0.0, 0.0)

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clocks."""
        self._start = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop the clocks; measure the rest at intervals."""
        self.wall.append(time.perf_counter() - self._start[0])
        self.processor.append(time.process_time() - self._start[1])
        if trainer.global_step % self.every == 0:
            own, *workers = [resident(pid) for pid in family()]
            files = len(os.listdir("/proc/self/fd"))
            threads = threading.active_count()
            self.rows.append((trainer.global_step, own, sum(workers), files, threads))


def family() -> list[int]:
    """Return the ids of this process and of its children."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return [own, *map(int, children)]


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def write_images(root: Path) -> None:
    """Write 8 labeled, 24 unlabeled and 4 validation images of 3 classes."""
    rng = np.random.default_rng(0)
    for folder, count in (("", 8), ("unlabeled", 24), ("val", 4)):
        for number in range(count):
            classes = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8), int))
            noise = rng.integers(0, 60, (SIZE, SIZE, 3))
            pixels = (noise + 90 * classes[..., None]).clip(0, 255).astype(np.uint8)
            images = (
                root / folder if folder == "unlabeled" else root / folder / "images"
            )
            images.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(images / f"{number}.png")
            if folder != "unlabeled":
                labels = root / folder / "labels"
                labels.mkdir(parents=True, exist_ok=True)
                Image.fromarray(classes.astype(np.uint8)).save(labels / f"{number}.png")


def train(folder: Path, steps: int, workers: int) -> Measure:
    """Train, and return the measurements."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    write_images(folder / "data")
    data = FolderDataModule(
        folder / "data", crop=(24, 24), batch_size=2, num_workers=workers
    )
    module = ClassMix(3, network=SmallUNet(3, width=4), labeled_only_steps=100)
    measure = Measure(max(1, steps // SAMPLES))
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=TensorBoardLogger(folder, name="", version=""),
        val_check_interval=max(1, min(500, steps // 40)),
        check_val_every_n_epoch=None,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            measure,
            ModelCheckpoint(folder, monitor="val_miou", mode="max"),
            LastCheckpoint(),
            Pictures(),
            PseudoLabelHealth(),
            StopOnSignal(),
            ValidationRecord(),
        ],
    )
    trainer.fit(module, data)
    return measure


def report(measure: Measure) -> bool:
    """Print the measurements; return whether nothing grows or slows down."""
    rows = measure.rows[len(measure.rows) // 2 :]
    steps, own, workers, files, threads = (np.array(c) for c in zip(*rows, strict=True))
    slopes = [1000 * np.polyfit(steps, memory, 1)[0] for memory in (own, workers)]
    for name, memory, slope in zip(
        ("this process", "workers"), (own, workers), slopes, strict=True
    ):
        print(
            f"memory of {name}: {memory[0]:.1f} to {memory[-1]:.1f} MiB,"
            f" {slope:+.3f} MiB per 1,000 steps"
        )
    print(f"open files: {files[0]} to {files[-1]}, at most {files.max()}")
    print(f"threads: {threads[0]} to {threads[-1]}, at most {threads.max()}")
    changes = {}
    for name, times in (("wall", measure.wall), ("processor", measure.processor)):
        kept = np.array(times[len(times) // 10 :])
        part = len(kept) // 5
        first, last = np.median(kept[:part]), np.median(kept[-part:])
        changes[name] = last / first - 1
        print(
            f"{name} time of a step, medians: first fifth {1000 * first:.2f} ms, last"
            f" fifth {1000 * last:.2f} ms, {100 * changes[name]:+.1f} %"
        )
    steady = files[-1] <= files[0] and threads[-1] <= threads[0]
    return bool(steady and max(slopes) <= 1.0 and min(changes.values()) <= 0.05)


def main() -> int:
    """Run one soak; return 0 if nothing grows or slows down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="optimizer steps")
    parser.add_argument("--workers", type=int, default=0, help="worker processes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure = train(Path(folder), arguments.steps, arguments.workers)
    print(f"{arguments.steps} steps, {arguments.workers} workers")
    return 0 if report(measure) else 1


if __name__ == "__main__":
    sys.exit(main())
