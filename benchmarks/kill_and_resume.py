"""Kill a training at random moments, resume it each time, and compare the end.

The run that was killed must end with the weights, the teacher, the optimizer and the
schedule of one that was never interrupted, bit for bit.
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


class Slow(Callback):
    """Give the killer time: a step waits a little, and says that it is done."""

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Wait, and tell the step."""
        time.sleep(0.01)
        print(trainer.global_step, flush=True)


def train(folder: Path, steps: int) -> None:
    """Train, from the last checkpoint in ``folder`` if there is one, to the end."""
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
            Slow(),
            ModelCheckpoint(folder, save_last=True, every_n_train_steps=3),
        ],
    )
    trainer.fit(module, data, ckpt_path=last if last.exists() else None)
    trainer.save_checkpoint(folder / "end.ckpt")


def start(folder: Path, steps: int) -> subprocess.Popen[str]:
    """Train in a process of its own."""
    command = [sys.executable, __file__, "--train", str(folder), "--steps", str(steps)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def kill_at_random(folder: Path, steps: int, rng: random.Random) -> tuple[int, int]:
    """Train on for a random number of steps, kill; return first and last step seen."""
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
    time.sleep(rng.uniform(0, 0.05))  # in the middle of something
    if process.poll() is not None:
        raise SystemExit(f"it ended by itself, with status {process.returncode}")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if resumes and first <= 1:
        raise SystemExit("it began anew, though there was a checkpoint")
    return first, last


def train_to_the_end(folder: Path, steps: int) -> None:
    """Train without being killed."""
    process = start(folder, steps)
    process.communicate()
    if process.returncode:
        raise SystemExit(f"it failed with status {process.returncode}")


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """List where two checkpoints differ."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [where]
        pairs = [(one[key], other[key], key) for key in one]
    elif isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return [where]
        pairs = [(a, b, n) for n, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [where]
    return [
        found for a, b, key in pairs for found in differences(a, b, f"{where}/{key}")
    ]


def main() -> int:
    """Run the comparison; return 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how often it is killed")
    parser.add_argument("--steps", type=int, help="of the whole run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
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
