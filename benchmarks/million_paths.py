"""Start a training on a million unlabeled images; tell seconds, and workers' memory.

python benchmarks/million_paths.py [--count 1000000] [--start fork spawn]

The million are links to one small image, in folders of 1,000. They are found once by a
list (``train_list``), once in the folder ``unlabeled``. What a worker holds for itself
is its memory that no other process shares, before and after the workers have read.
Beside each figure stands that of 1,000 images, which is what a start takes anyway.
Linux only, for what it reads of memory.
"""

import argparse
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import seed_everything
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.image_files import ImageFiles

LABELED = 8
SIZE = 32
IN_A_FOLDER = 1000
CONTROL = 1000
WORKERS = 2
BATCHES = 300
UNLABELED_BATCH = 32


def write(root: Path, count: int) -> None:
    """Write labeled images, ``count`` links to one more, and the list of all."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels", "unlabeled"):
        (root / folder).mkdir(parents=True)
    lines = ["image,label"]
    for number in range(LABELED):
        names = f"images/{number}.png", f"labels/{number}.png"
        pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        label = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE) % 2
        Image.fromarray(pixels).save(root / names[0])
        Image.fromarray(label).save(root / names[1])
        lines.append(",".join(names))
    target = root / "images/0.png"
    for number in range(count):
        name = f"unlabeled/{number // IN_A_FOLDER:04d}/{number:07d}.png"
        if number % IN_A_FOLDER == 0:
            (root / name).parent.mkdir()
        os.symlink(target, root / name)
        lines.append(f"{name},")
    (root / "list.csv").write_text("\n".join(lines) + "\n")


@contextmanager
def timed(stages: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that pass to ``stages``."""
    start = time.perf_counter()
    yield
    stages[name] = time.perf_counter() - start


def private_mib(pid: int) -> float:
    """Return the memory of a process that no other one shares, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = (int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return sum(kib) / 1024


def workers_mib(loader: Any) -> list[float]:
    """Return the private memory of the workers over the unlabeled images, in MiB."""
    workers = loader.flattened[-1]._iterator._workers
    return [private_mib(worker.pid) for worker in workers]


def start(
    root: Path, train_list: Path | None
) -> tuple[dict[str, float], list[list[float]], float]:
    """Load data as a fit does; return seconds, and MiB of workers and paths."""
    stages: dict[str, float] = {}
    seed_everything(0, verbose=False)
    with timed(stages, "data module"):
        data = FolderDataModule(
            root,
            num_classes=2,
            train_list=train_list,
            crop=(16, 16),
            unlabeled_batch_size=UNLABELED_BATCH,
            steps_per_epoch=BATCHES + 10,
            num_workers=WORKERS,
        )
    with timed(stages, "setup"):
        data.setup("fit")
    with timed(stages, "loaders"):
        loader = data.train_dataloader()
    with timed(stages, "first batch"):
        batches = iter(loader)
        next(batches)
    memory = [workers_mib(loader)]
    with timed(stages, f"{BATCHES} more batches"):
        for _ in range(BATCHES):
            next(batches)
    memory.append(workers_mib(loader))
    assert isinstance(data.unlabeled, ImageFiles)
    held = vars(data.unlabeled.images).values()  # tensors, and nothing else
    size = sum(tensor.nbytes for tensor in held) / 2**20
    del batches, loader
    return stages, memory, size


def told(values: list[float]) -> str:
    """Tell some numbers of MiB."""
    return " and ".join(f"{value:.0f}" for value in values)


def main() -> None:
    """Time every start, and say in one line what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="of the images")
    parser.add_argument(
        "--start", nargs="+", default=["fork", "spawn"], help="how workers start"
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_num_threads(1)

    summary = []
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        created: dict[str, float] = {}
        write(small, CONTROL)
        with timed(created, "write"):
            write(large, arguments.count)
        print(
            f"wrote {arguments.count:,} links in {created['write']:.1f} s", flush=True
        )
        for method in arguments.start:
            multiprocessing.set_start_method(method, force=True)
            for kind in ("list", "folder"):
                (usual, theirs, _), (stages, memory, size) = (
                    start(root, root / "list.csv" if kind == "list" else None)
                    for root in (small, large)
                )
                first, control = (sum([*s.values()][:-1]) for s in (stages, usual))
                more = max(memory[1]) - max(theirs[1])
                summary.append(
                    f"{kind}, {method}: first batch after {first:.1f} s (of"
                    f" {CONTROL:,}: {control:.1f} s), {more:+.0f} MiB a worker"
                )
                print(f"\n{kind}, {method}; in brackets of {CONTROL:,} images")
                for name, seconds in stages.items():
                    print(f"  {name:20} {seconds:6.2f} s ({usual[name]:.2f} s)")
                print(f"  total to first batch {first:6.2f} s ({control:.2f} s)")
                for number, when in enumerate(("first batch", f"{BATCHES} more")):
                    print(
                        f"  private to each worker after {when}:"
                        f" {told(memory[number])} MiB ({told(theirs[number])} MiB)"
                    )
                print(f"  the paths: {size:.0f} MiB", flush=True)
    print(f"\n{arguments.count:,} paths of {size:.0f} MiB. {'; '.join(summary)}")


if __name__ == "__main__":
    main()
