"""Samplers: the order of images on every rank, also after a resume."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from lightning_classmix.ops import derive_seed


class InfiniteShuffleSampler(DistributedSampler[Any]):
    """Deal an endless stream of shuffled passes out to the ranks, an epoch at a time.

    The stream is one permutation of the data set after another, each pass shuffled
    anew. Rank r of R takes every R-th item from r on, and epoch e the e-th stretch of
    ``length`` items, so that no image comes back before its pass is over, however many
    passes an epoch takes. As a ``DistributedSampler`` it is left alone by Lightning.

    Args:
        dataset: The data set, of at least one item.
        length: Items in an epoch, per rank.
        seed: Base of the random streams, the same on all ranks.
        num_replicas: Number of ranks.
        rank: Rank of this process.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        length: int,
        seed: int,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, seed=seed)
        self.length = length
        self.start = 0
        """Items of the epoch to leave out: those of before a resume."""

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (index, pass)."""
        count = len(self.dataset)  # type: ignore[arg-type]
        order, current = torch.empty(0), -1
        for place in range(self.start, self.length):
            position = self.epoch * self.length + place
            number, within = divmod(position * self.num_replicas + self.rank, count)
            if number != current:
                order, current = self._permutation(number, count), number
            yield int(order[within]), number

    def _permutation(self, number: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, number))
        return torch.randperm(count, generator=generator)


class UnpaddedDistributedSampler(DistributedSampler[Any]):
    """Deal a data set out to the ranks in order, without filling up the shorter ones.

    torch's own sampler repeats items until all ranks have the same number, which would
    count them twice in a score.

    Args:
        dataset: The data set, of at least one item a rank.
        num_replicas: Number of ranks.
        rank: Rank of this process.

    Raises:
        ValueError: If there are fewer items than ranks.
    """

    def __init__(self, dataset: Dataset[Any], *, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        count = len(dataset)  # type: ignore[arg-type]
        if count < num_replicas:
            raise ValueError(
                f"an evaluated set must hold an image for each of {num_replicas}"
                f" devices, got {count}"
            )
        self.places = range(rank, count, num_replicas)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        """Yield the items of this rank."""
        return iter(self.places)
