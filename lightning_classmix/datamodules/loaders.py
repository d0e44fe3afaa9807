"""DataLoaders for training and evaluation."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import cv2
from lightning.fabric.utilities.seed import pl_worker_init_function
from torch.utils.data import DataLoader, Dataset, default_collate

from lightning_classmix.datasets.samplers import (
    InfiniteShuffleSampler,
    UnpaddedDistributedSampler,
)
from lightning_classmix.datasets.views import TrainingView


def training_loader(
    view: TrainingView,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    num_workers: int,
    devices: int = 1,
    rank: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Return a loader of full batches, shuffled at each pass over the dataset.

    Args:
        view: Training dataset.
        steps: Number of batches in an epoch, per device.
        batch_size: Number of images in a batch, per device.
        seed: Seed of the order, the same on all ranks.
        num_workers: Number of worker processes; 0 loads in the main process.
        devices: Number of ranks that share the dataset.
        rank: Rank of this process.
        pin_memory: Whether batches are copied to a GPU.
    """
    sampler = InfiniteShuffleSampler(
        view, length=steps * batch_size, seed=seed, num_replicas=devices, rank=rank
    )
    return ResumableLoader(
        dataset=view,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        drop_last=True,
        collate_fn=collate,
        worker_init_fn=start_worker,
    )


def evaluation_loader(
    view: Dataset[Any],
    *,
    batch_size: int,
    num_workers: int,
    devices: int = 1,
    rank: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Return a loader of one pass over a dataset, in order.

    On several devices, each image is loaded by one of them.

    Args:
        view: Dataset to evaluate or predict.
        batch_size: Number of images in a batch.
        num_workers: Number of worker processes; 0 loads in the main process.
        devices: Number of ranks that share the dataset.
        rank: Rank of this process.
        pin_memory: Whether batches are copied to a GPU.
    """
    share = UnpaddedDistributedSampler(view, num_replicas=devices, rank=rank)
    return DataLoader(
        dataset=view,
        sampler=share if devices > 1 else None,
        batch_size=batch_size,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        collate_fn=collate,
        worker_init_fn=start_worker,
    )


def collate(items: list[dict[str, Any]]) -> Any:
    """Combine items into a batch.

    Raises:
        ValueError: If their images or labels differ in size.
    """
    for key in ("image", "label"):
        shapes = {tuple(item[key].shape) for item in items if key in item}
        if len(shapes) > 1:
            sizes = ", ".join(f"{shape[-2]} x {shape[-1]}" for shape in sorted(shapes))
            raise ValueError(
                f"the {key}s of a batch must have the same size (height x width), got"
                f" {sizes}; set crop or size to train,"
                " val_batch_size=1 to evaluate"
            )
    return default_collate(items)


def start_worker(worker_id: int) -> None:
    """Use one thread for images, and let only the main process handle stop signals.

    Ctrl-C, ``timeout`` and SLURM send a signal to the workers too. The main process
    still needs their batches to finish its step, and ends them afterwards.
    """
    cv2.setNumThreads(0)  # the workers share the cores, as for the threads of torch
    if os.environ.get("PL_SEED_WORKERS") == "1":  # what Lightning would do
        pl_worker_init_function(worker_id)
    for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_main_process, daemon=True).start()


def _end_with_the_main_process() -> None:
    """End this process on SIGTERM of its parent; ignore that of other processes."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


class ResumableLoader(DataLoader[Any]):
    """DataLoader whose position is saved in checkpoints and restored by Lightning.

    A batch is counted when it is yielded, not when a worker prepares it. Accepts the
    keyword arguments of ``DataLoader``.
    """

    consumed = 0
    _resumed: tuple[int, int] | None = None  # (epoch, batches consumed in it)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the epoch that were not consumed before."""
        self.consumed = 0
        if isinstance(self.sampler, InfiniteShuffleSampler):
            if self._resumed is not None and self._resumed[0] == self.sampler.epoch:
                self.consumed = self._resumed[1]
            self.sampler.start = self.consumed * (self.batch_size or 1)
        self._resumed = None
        for batch in super().__iter__():
            self.consumed += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of batches consumed in it."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "consumed": self.consumed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the batches that ``state`` counts as consumed."""
        self._resumed = state["epoch"], state["consumed"]
