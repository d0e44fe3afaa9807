"""Loader of a stream that continues from epoch to epoch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import DataLoader, IterableDataset

from lightning_classmix.datamodules.loaders import collate, start_worker
from lightning_classmix.datasets.streams import StreamView, keeps_position
from lightning_classmix.datasets.transforms import Transform


def is_stream(dataset: object) -> bool:
    """Return whether a dataset is read in its own order, without index and length."""
    return isinstance(dataset, IterableDataset)


def check_streams(
    labeled: object, unlabeled: object, steps_per_epoch: int | None
) -> None:
    """Check that only ``unlabeled`` is a stream, with a given length of an epoch.

    Raises:
        ValueError: If it is otherwise.
    """
    if is_stream(labeled):
        raise ValueError(
            "labeled must have a length and items by index, got the stream"
            f" {type(labeled).__name__}; only unlabeled may be a stream"
        )
    if not is_stream(unlabeled):
        return
    name = type(unlabeled).__name__
    if steps_per_epoch is None:
        raise ValueError(
            "steps_per_epoch must be given for a stream of unlabeled images, whose"
            f" length is unknown, got None for {name}"
        )
    if not keeps_position(unlabeled):
        rank_zero_info(
            f"a resumed run begins a new pass over the unlabeled images: {name} cannot"
            " continue at a position"
        )


def stream_loader(
    stream: IterableDataset[Any],
    transform: Transform,
    *,
    steps: int,
    pin_memory: bool,
    **options: Any,
) -> "StreamLoader":
    """Return the loader of a stream of unlabeled images.

    Args:
        stream: The stream.
        transform: Transform of PIL images and uint8 arrays.
        steps: Number of batches in an epoch, per device.
        pin_memory: Whether batches are copied to a GPU.
        options: Further arguments of `StreamView`.
    """
    view = StreamView(stream, transform, **options)
    return StreamLoader(view, steps=steps, pin_memory=pin_memory)


class StreamLoader:
    """Yield ``steps`` batches of a stream in each epoch.

    The stream is not restarted between epochs, so that an epoch continues where the
    last one ended. Lightning saves and restores the position.

    Args:
        view: View of the stream, endless.
        steps: Number of batches in an epoch, per device.
        pin_memory: Whether batches are copied to a GPU.
    """

    def __init__(
        self, view: StreamView, *, steps: int, pin_memory: bool = False
    ) -> None:
        self.view = view
        self.steps = steps
        self.pin_memory = pin_memory
        self.epoch = 0
        self.consumed = 0
        """Number of batches consumed in this epoch."""
        self._read = 0  # batches since the start of the process
        self._batches: Iterator[Any] | None = None
        self._resumed: tuple[int, int] | None = None

    def __len__(self) -> int:
        return self.steps

    @property
    def sampler(self) -> "StreamLoader":
        """The object whose ``set_epoch`` Lightning calls."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of an epoch that were not consumed before."""
        if self._batches is None:
            loader = DataLoader(
                dataset=self.view,
                batch_size=self.view.topology["batch_size"],
                num_workers=self.view.topology["num_workers"],
                pin_memory=self.pin_memory,
                collate_fn=collate,
                worker_init_fn=start_worker,
            )
            self._batches = islice(loader, self.view.skipped_batches, None)
        same_epoch = self._resumed is not None and self._resumed[0] == self.epoch
        self.consumed = self._resumed[1] if self._resumed and same_epoch else 0
        self._resumed = None
        while self.consumed < self.steps:
            batch = next(self._batches)
            self.consumed += 1
            self._read += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the epoch and the position of the stream."""
        stream = self.view.state_dict(self._read)
        return {"epoch": self.epoch, "consumed": self.consumed, "stream": stream}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batches consumed so far; warn if the stream cannot."""
        self._resumed = (state["epoch"], state["consumed"])
        if not self.view.load_state_dict(state["stream"]):
            rank_zero_warn(
                "the stream of unlabeled images begins a new pass, as it cannot"
                " continue at the position of the checkpoint"
            )
