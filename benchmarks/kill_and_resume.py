"""Kill a training at random steps, resume it each time, and compare the results.

The killed run must end with the same weights, teacher, optimizer and schedule as a run
without interruption, bit for bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_classmix import AtomicCheckpointIO, ClassMix, StreetScenesDataModule
from lightning_classmix.models.small_unet import SmallUNet


class SlowSteps(Callback):
    """Slow down training, so that it can be killed at a given step."""

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Wait, and print the step."""
        time.sleep(0.01)
        print(trainer.global_step, flush=True)


def train(folder: Path, steps: int) -> None:
    """Train to the end, from the last checkpoint in ``folder`` if it exists."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    module = ClassMix(
        7, network=SmallUNet(7, width=4), labeled_only_steps=10, ramp_steps=20
    )
    data = StreetScenesDataModule(
        unlabeled=20, val=4, size=(32, 48), crop=(24, 32), batch_size=2
    )
    last = folder / "last.ckpt"
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            SlowSteps(),
            ModelCheckpoint(folder, save_last=True, every_n_train_steps=3),
        ],
    )
    trainer.fit(module, data, ckpt_path=last if last.exists() else None)
    trainer.save_checkpoint(folder / "end.ckpt")


def start(folder: Path, steps: int) -> subprocess.Popen[str]:
    """Start a training process."""
    command = [sys.executable, __file__, "--train", str(folder), "--steps", str(steps)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def kill_at_random(folder: Path, steps: int, rng: random.Random) -> tuple[int, int]:
    """Resume for a random number of steps, then kill; return first and last step."""
    resumes = (folder / "last.ckpt").exists()
    process = start(folder, steps)
    first = last = 0
    wait = rng.randint(1, 12)
    assert process.stdout is not None
    for line in process.stdout:
        last = int(line)
        first = first or last
        if last - first >= wait:
            break
    time.sleep(rng.uniform(0, 0.05))  # in the middle of a step
    if process.poll() is not None:
        raise SystemExit(
            f"training ended before the kill, with status {process.returncode}"
        )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if resumes and first <= 1:
        raise SystemExit("training started at step 0 although there was a checkpoint")
    return first, last


def train_to_the_end(folder: Path, steps: int) -> None:
    """Train without being killed."""
    process = start(folder, steps)
    process.communicate()
    if process.returncode:
        raise SystemExit(f"training failed with status {process.returncode}")


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
    parser.add_argument("--times", type=int, default=20, help="number of kills")
    parser.add_argument("--steps", type=int, help="steps of the run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the kill times")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    steps = arguments.steps or 20 * arguments.times
    if arguments.train:
        train(arguments.train, steps)
        return 0

    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        train_to_the_end(whole, steps)
        for number in range(1, arguments.times + 1):
            first, last = kill_at_random(killed, steps, rng)
            print(f"kill {number}: trained from step {first} to {last}", flush=True)
        train_to_the_end(killed, steps)
        ends = [torch.load(path / "end.ckpt") for path in (whole, killed)]
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step")
    found = [
        d for part in parts for d in differences(ends[0][part], ends[1][part], part)
    ]
    found += differences(*(end["callbacks"]["EMATeacher"] for end in ends))
    print(f"{arguments.times} kills, {steps} steps: ", end="")
    print(f"differs in {', '.join(found)}" if found else "equal, bit for bit")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
