"""Unlabeled images from a stream: sharded, augmented and resumed."""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Literal, TypeAlias

from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from lightning_classmix.datasets.samples import training_sample
from lightning_classmix.datasets.transforms import Transform

Sharding: TypeAlias = Literal["none", "workers", "all"]


def sharding(source: IterableDataset[Any]) -> Sharding:
    """Return over what a stream distributes its items itself.

    StreamingDataset of litdata and the pipelines of WebDataset do over devices and
    worker processes, IterableDataset of Hugging Face over worker processes. All other
    streams must yield the same items, in the same order, in every process.
    """
    packages = {cls.__module__.partition(".")[0] for cls in type(source).__mro__}
    if packages & {"litdata", "webdataset"}:
        return "all"
    return "workers" if "datasets" in packages else "none"


def keeps_position(source: object) -> bool:
    """Return whether a stream can continue at a position, as StreamingDataset can."""
    return any(cls.__module__.startswith("litdata.") for cls in type(source).__mro__)


class StreamView(IterableDataset[dict[str, Tensor]]):
    """Endless training view of a stream of unlabeled images.

    Each process reads its own items, so that no item is read twice in a pass. After the
    last item the next pass begins. The augmentation depends on ``seed``, pass and item.

    Args:
        source: Stream of images; labels in its items are ignored.
        transform: Transform of PIL images and uint8 arrays.
        seed: Seed of the augmentation.
        batch_size: Number of images in a batch.
        num_workers: Number of worker processes.
        devices: Number of ranks that share the stream.
        rank: Rank of this process.
        nodes: Number of machines of all ranks.

    Raises:
        ValueError: If a stream of known length is too small.
    """

    def __init__(
        self,
        source: IterableDataset[Any],
        transform: Transform,
        *,
        seed: int,
        batch_size: int,
        num_workers: int,
        devices: int = 1,
        rank: int = 0,
        nodes: int = 1,
    ) -> None:
        stream: Any = source
        self.source = stream
        self.transform = transform
        self.seed = seed
        self.rank = rank
        self.topology = {
            "devices": devices,
            "num_workers": num_workers,
            "batch_size": batch_size,
        }
        self.first_pass = 0
        self.first_batch = 0
        """Batch of the first pass to begin with: the same number for each worker."""
        self.skipped_batches = 0
        """Number of batches after ``first_batch`` that the loader has to skip."""
        self.pass_length: int | None = None
        """Number of batches in a pass of this rank; None if unknown."""
        self.worker_images: int | None = None
        """Number of images in a pass of one worker; None if unknown."""
        if not keeps_position(source):
            return
        # The process group did not exist yet when the stream was created.
        environment = type(stream.distributed_env)
        stream.distributed_env = environment(devices, rank, nodes)
        stream.set_drop_last(True)  # passes of all ranks have the same length
        batches = stream.get_len(num_workers, batch_size) // batch_size
        # Workers may differ by a batch; passes must have the same length for each.
        workers = max(1, num_workers)
        self.pass_length = batches - batches % workers
        self.worker_images = self.pass_length // workers * batch_size
        if not self.pass_length:
            raise ValueError(
                "unlabeled must hold at least one batch for each worker process of each"
                f" device, got fewer than {devices} x {max(1, num_workers)} x"
                f" {batch_size} images; lower num_workers or unlabeled_batch_size"
            )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield ``image``, float ``(C, H, W)``, and ``valid``, bool ``(H, W)``.

        Raises:
            ValueError: If this process has no item in a whole pass.
        """
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        process = self.rank * workers + worker
        step, first, shard = {
            "none": (self.topology["devices"] * workers, process, 0),
            "workers": (self.topology["devices"], self.rank, worker),
            "all": (1, 0, process),
        }[sharding(self.source)]
        batches_before = len(range(worker, self.first_batch, workers))
        skipped = batches_before * self.topology["batch_size"]
        for number in count(self.first_pass):
            if hasattr(self.source, "set_epoch"):
                self.source.set_epoch(number + 1)
            empty = True
            items = islice(iter(self.source), self._left(skipped))
            for index, item in enumerate(items, start=skipped):
                if index % step != first:
                    continue
                empty = False
                position = (number, index, shard)
                yield training_sample(
                    item, self.transform, position, labeled=False, seed=self.seed
                )
            if empty and not skipped:
                raise ValueError(
                    "unlabeled must yield an image in each process, got none in"
                    f" worker process {worker} of {workers} of device {self.rank};"
                    " lower num_workers, or write more shards"
                )
            skipped = 0
            if keeps_position(self.source):
                self.source.reset_state_dict()  # the next pass begins at its start

    def _left(self, skipped: int) -> int | None:
        return None if self.worker_images is None else self.worker_images - skipped

    def state_dict(self, consumed: int) -> dict[str, Any]:
        """Return the position of the stream in plain values, for a checkpoint.

        Args:
            consumed: Number of batches that were read, of this rank.
        """
        state: dict[str, Any] = {"pass": self.first_pass, **self.topology}
        if self.pass_length is None:
            return state
        batches = self.first_batch + self.skipped_batches + consumed
        passed, within = divmod(batches, self.pass_length)
        # A loader begins with the first worker, so that all must be equally far.
        skipped = within % max(1, self.topology["num_workers"])
        within -= skipped
        images = within * self.topology["batch_size"]
        position = self.source.state_dict(
            images, self.topology["num_workers"], self.topology["batch_size"]
        )
        number = self.first_pass + passed
        position = {**position, "current_epoch": number + 1}
        state |= {"pass": number, "batch": within, "skipped": skipped}
        return {**state, "source": position}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue at a position; return whether it is the exact one.

        A stream that has no position, or is distributed otherwise than before,
        begins the next pass.
        """
        same = all(state[name] == value for name, value in self.topology.items())
        if self.pass_length is None or "source" not in state or not same:
            self.first_pass = state["pass"] + 1
            return False
        self.first_pass = state["pass"]
        self.first_batch = state["batch"]
        self.skipped_batches = state["skipped"]
        if self.first_batch:
            self.source.load_state_dict(state["source"])
        return True
