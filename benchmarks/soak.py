"""Train a tiny network for many steps, and look for what grows or slows down.

python benchmarks/soak.py [--steps 20000] [--workers 0]

The run validates, and writes checkpoints and pictures, 40 times or every 500 steps,
with the callbacks of the command line. Printed are the slope of the memory of this
process and of its workers per 1,000 steps, the numbers of open files and threads, and
the time of a step at the end against the start. Memory, files and threads are those of
the second half: until then caches fill. What the program has not freed is the memory
in use, of malloc and of Python's own allocator. Resident memory includes what malloc
keeps for later; it jumps by tens of MiB when malloc gives a part of that back.
The status is 1 if files or threads grow, if the memory in use or that of the workers
grows by more than 0.5 MiB per 1,000 steps, if resident memory grows by more than 2 %,
or if steps become 5 % slower.
Times depend on what else the machine does; the processor time of this process less so,
and least its quotient to the time of a fixed computation that is measured in between.
Linux with glibc only.
"""

import argparse
import ctypes
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
BLOCK = 512 / 2**20  # MiB; Python's allocator gives out blocks of at most 512 bytes


class Measure(Callback):
    """Measure memory, open files, threads, and the time of every step.

    Args:
        steps: Number of steps of the run.
    """

    def __init__(self, steps: int) -> None:
        self.every = max(1, steps // SAMPLES)
        self.rows: list[dict[str, float]] = []
        # Arrays of fixed size, so that the measurements do not grow themselves.
        self.wall = np.zeros(steps)
        self.processor = np.zeros(steps)
        self._start = (0.0, 0.0)
        self._fixed = SmallUNet(3, width=4)
        self._image = torch.randn(4, 3, SIZE, SIZE)

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clocks."""
        self._start = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop the clocks; measure the rest at intervals."""
        step = trainer.global_step
        self.wall[step - 1] = time.perf_counter() - self._start[0]
        self.processor[step - 1] = time.process_time() - self._start[1]
        if step % self.every:
            return
        own, *workers = [resident(pid) for pid in family()]
        row = {"resident": own, "workers": sum(workers)}
        row |= {"malloc": malloc_in_use(), "blocks": sys.getallocatedblocks()}
        row["files"] = len(os.listdir("/proc/self/fd"))
        row["threads"] = threading.active_count()
        self.rows.append({"step": step, **row, "fixed": self._time_fixed()})

    def _time_fixed(self) -> float:
        """Return the processor time of a fixed computation in seconds."""
        times = []
        for _ in range(5):
            start = time.process_time()
            self._fixed(self._image).sum().backward()
            times.append(time.process_time() - start)
        return min(times)


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def malloc_in_use() -> float:
    """Return the memory that ``malloc`` gave out and that was not freed, in MiB."""
    function = ctypes.CDLL(None).mallinfo2
    function.restype = _Mallinfo
    info = function()
    return float(info.uordblks + info.hblkhd) / 2**20


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
    measure = Measure(steps)
    seed_everything(0, verbose=False)
    write_images(folder / "data")
    data = FolderDataModule(
        folder / "data", crop=(24, 24), batch_size=2, num_workers=workers
    )
    module = ClassMix(3, network=SmallUNet(3, width=4), labeled_only_steps=100)
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
    all_rows = {
        name: np.array([row[name] for row in measure.rows]) for name in measure.rows[0]
    }
    half = len(measure.rows) // 2
    rows = {name: values[half:] for name, values in all_rows.items()}
    slopes = {}
    for name, title, digits, unit in (
        ("resident", "resident memory", 1, "MiB"),
        ("malloc", "in use, malloc", 3, "MiB"),
        ("blocks", "in use, Python", 0, "blocks"),
        ("workers", "resident memory of workers", 1, "MiB"),
    ):
        memory = rows[name]
        slope = 1000 * np.polyfit(rows["step"], memory, 1)[0]
        slopes[name] = slope if unit == "MiB" else slope * BLOCK
        print(
            f"{title}: {memory[0]:.{digits}f} to {memory[-1]:.{digits}f} {unit},"
            f" at most {memory.max():.{digits}f}, {slope:+.3f} per 1,000 steps"
        )
    for name, title in (("files", "open files"), ("threads", "threads")):
        values = rows[name].astype(int)
        print(f"{title}: {values[0]} to {values[-1]}, at most {values.max()}")
    changes = []
    for title, times in (
        ("wall time of a step", measure.wall),
        ("processor time of a step", measure.processor),
        ("processor time of a fixed computation", all_rows["fixed"]),
    ):
        kept = times[len(times) // 10 :]
        part = len(kept) // 5
        first, last = np.median(kept[:part]), np.median(kept[-part:])
        changes.append(last / first - 1)
        print(
            f"{title}, medians: first fifth {1000 * first:.2f} ms, last fifth"
            f" {1000 * last:.2f} ms, {100 * changes[-1]:+.1f} %"
        )
    changes.append((1 + changes[1]) / (1 + changes[2]) - 1)
    print(f"the quotient of these two: {100 * changes[-1]:+.1f} %")
    steady = all(rows[name][-1] <= rows[name][0] for name in ("files", "threads"))
    steady &= rows["resident"][-1] <= 1.02 * rows["resident"][0]
    steady &= all(slopes[name] <= 0.5 for name in ("malloc", "blocks", "workers"))
    return bool(steady and min(changes[0], changes[1], changes[3]) <= 0.05)


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
