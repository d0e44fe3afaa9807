"""Disturb a training at random steps, resume it each time, and compare the results.

python benchmarks/kill_and_resume.py [--faults sigkill=20 sigterm=20 sigint=5 …]

Faults are the signals SIGKILL, SIGTERM, SIGINT and SIGHUP, a full disk at a checkpoint,
a deleted image, and a killed worker of a loader; each ends a process of its own. The
disturbed run must end with the same weights, teacher, optimizer and schedule as a run
without interruption, bit for bit. SIGTERM, SIGINT and SIGHUP may lose no step, and must
set the exit status 128 + signal; the other faults must leave the last checkpoint, which
is written every 3 steps. Linux only.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from PIL import Image

from lightning_classmix import AtomicCheckpointIO, ClassMix, FolderDataModule
from lightning_classmix.callbacks import StopOnSignal
from lightning_classmix.experiments.compare_checkpoint import IntervalCheckpoint
from lightning_classmix.models.small_unet import SmallUNet

DEFAULT = "sigkill=20 sigterm=20 sigint=5 sighup=5 disk=5 file=5 worker=5"
STEPS_PER_FAULT = 16
LATEST = 8  # steps after the start of a process, at which a fault is injected
SECONDS = 120  # longest time to the end of a process after a fault


def write_images(root: Path) -> None:
    """Write 6 labeled, 10 unlabeled and 2 validation images of 3 classes."""
    rng = np.random.default_rng(0)
    for folder, count in (("", 6), ("unlabeled", 10), ("val", 2)):
        images = root / folder / ("" if folder == "unlabeled" else "images")
        labels = root / folder / "labels"
        for number in range(count):
            classes = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8), int))
            pixels = rng.integers(0, 60, (32, 32, 3)) + 90 * classes[..., None]
            images.mkdir(parents=True, exist_ok=True)
            path = images / f"{number}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
            if folder != "unlabeled":
                labels.mkdir(parents=True, exist_ok=True)
                label = Image.fromarray(classes.astype(np.uint8))
                label.save(labels / f"{number}.png")


def train(root: Path, folder: Path, steps: int, workers: int, progress: Any) -> None:
    """Train to the end, from the last checkpoint in ``folder`` if it exists."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)

    def on_step(step: int) -> None:
        time.sleep(0.01)  # so that it can be disturbed at a given step
        progress.send(step)

    module = ClassMix(
        3, network=SmallUNet(3, width=4), labeled_only_steps=10, ramp_steps=20
    )
    data = FolderDataModule(root, crop=(24, 24), batch_size=2, num_workers=workers)
    last = folder / "last.ckpt"
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=7,
        check_val_every_n_epoch=None,
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            IntervalCheckpoint(last, interval=3, on_step=on_step),
            StopOnSignal(last),
        ],
    )
    trainer.fit(module, data, ckpt_path=last if last.exists() else None)
    trainer.save_checkpoint(folder / "end.ckpt")


def start(root: Path, folder: Path, steps: int, workers: int) -> tuple[Any, Any]:
    """Start a training process; return it and the pipe that yields its steps."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (root, folder, steps, workers, sender)
    process = context.Process(target=train, args=arguments)
    process.start()
    sender.close()
    return process, receiver


def inject(fault: str, process: ForkProcess, root: Path, folder: Path) -> None:
    """Cause a fault."""
    assert process.pid is not None
    if fault == "disk":
        while True:
            try:
                (folder / ".last.ckpt.part").symlink_to("/dev/full")
                return
            except FileExistsError:  # a checkpoint is being written
                time.sleep(0.001)
    elif fault == "file":
        (root / "images/0.png").rename(root / "images/0.away")
    elif fault == "worker":
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGKILL)
    else:
        os.kill(process.pid, getattr(signal, fault.upper()))


def disturb(fault: str, root: Path, folder: Path, steps: int, rng: Any) -> str:
    """Resume for a random number of steps, cause a fault, and check what is left.

    Raises:
        SystemExit: If the end is not as it must be.
    """
    last = folder / "last.ckpt"
    before = saved_step(last)
    process, progress = start(root, folder, steps, workers=int(fault == "worker"))
    reached = first = 0
    wait = rng.randint(4, LATEST)  # after the first checkpoint
    try:
        while reached - first < wait:
            reached = progress.recv()
            first = first or reached
        time.sleep(rng.uniform(0, 0.05))  # in the middle of a step
        inject(fault, process, root, folder)
        while True:
            reached = progress.recv()
    except EOFError:
        process.join(SECONDS)
    away = root / "images/0.away"
    if away.exists():
        away.rename(root / "images/0.png")
    status, kept = process.exitcode, saved_step(last)
    number = getattr(signal, fault.upper(), None)
    expected = {"sigkill": -9}.get(fault, 1 if number is None else 128 + (number or 0))
    problems = []
    if status != expected:
        problems.append(f"status {status} instead of {expected}")
    if before and first != before + 1:
        problems.append(f"resumed at step {first - 1} instead of {before}")
    if fault in ("sigterm", "sigint", "sighup") and kept != reached:
        problems.append(f"step {reached} was reached, step {kept} was kept")
    if kept < max(before, reached - 3):
        problems.append(f"step {reached} was reached, step {kept} was kept")
    if problems:
        raise SystemExit(f"{fault}: {'; '.join(problems)}")
    return f"steps {first} to {reached}, kept {kept}, status {status}"


def saved_step(path: Path) -> int:
    """Return the step of a checkpoint; 0 if there is none."""
    if not path.exists():
        return 0
    return int(torch.load(path, weights_only=True)["global_step"])


def train_to_the_end(root: Path, folder: Path, steps: int) -> None:
    """Train without a fault."""
    process, progress = start(root, folder, steps, workers=0)
    try:
        while True:
            progress.recv()
    except EOFError:
        process.join()
    if process.exitcode:
        raise SystemExit(f"training failed with status {process.exitcode}")


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the paths of the entries in which two checkpoints differ."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [path]
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return [path]
        pairs = [(first[key], second[key], key) for key in first]
    elif isinstance(first, (list, tuple)):
        if len(first) != len(second):
            return [path]
        pairs = [(a, b, n) for n, (a, b) in enumerate(zip(first, second, strict=True))]
    else:
        return [] if first == second else [path]
    return [
        found for a, b, key in pairs for found in differences(a, b, f"{path}/{key}")
    ]


def main() -> int:
    """Run the comparison; return 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", nargs="+", default=DEFAULT.split(), metavar="F=N")
    parser.add_argument("--seed", type=int, default=0, help="seed of times and order")
    arguments = parser.parse_args()
    counts = dict(part.split("=") for part in arguments.faults)
    rng = random.Random(arguments.seed)
    faults = [fault for fault, count in counts.items() for _ in range(int(count))]
    rng.shuffle(faults)
    steps = STEPS_PER_FAULT * (len(faults) + 1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "data")
        whole, disturbed = Path(name, "whole"), Path(name, "disturbed")
        write_images(root)
        train_to_the_end(root, whole, steps)
        for number, fault in enumerate(faults, 1):
            line = disturb(fault, root, disturbed, steps, rng)
            print(f"{number} {fault}: {line}", flush=True)
        train_to_the_end(root, disturbed, steps)
        ends = [torch.load(path / "end.ckpt") for path in (whole, disturbed)]
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step")
    found = [
        d for part in parts for d in differences(ends[0][part], ends[1][part], part)
    ]
    found += differences(*(end["callbacks"]["EMATeacher"] for end in ends))
    print(f"{len(faults)} faults, {steps} steps: ", end="")
    print(f"differs in {', '.join(found)}" if found else "equal, bit for bit")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
