"""Samplers: the order of images on each rank, with exact resumption."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from lightning_classmix.ops import derive_seed


class InfiniteShuffleSampler(DistributedSampler[Any]):
    """Distribute an endless sequence of shuffled passes over the ranks.

    The sequence consists of permutations of the dataset, one for each pass. Rank r of R
    gets every R-th item from item r on, and epoch e the e-th section of ``length``
    items. No image repeats before its pass has ended, however many passes an epoch
    takes. Lightning does not replace it, as it is a ``DistributedSampler``.

    Args:
        dataset: Dataset with at least one item.
        length: Number of items in an epoch, per rank.
        seed: Seed of the permutations, the same on all ranks.
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
        """Number of items of the epoch to skip: those consumed before a resume."""

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (index, pass)."""
        count = len(self.dataset)  # type: ignore[arg-type]
        order, current = torch.empty(0), -1
        for offset in range(self.start, self.length):
            position = self.epoch * self.length + offset
            number, within = divmod(position * self.num_replicas + self.rank, count)
            if number != current:
                order, current = self._permutation(number, count), number
            yield int(order[within]), number

    def _permutation(self, number: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, number))
        return torch.randperm(count, generator=generator)


class UnpaddedDistributedSampler(DistributedSampler[Any]):
    """Distribute a dataset over the ranks in order, without repeated items.

    torch's sampler repeats items until all ranks have the same number, which would
    count these items twice in a score.

    Args:
        dataset: Dataset with at least one item per rank.
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
                f"an evaluation set must hold an image for each of {num_replicas}"
                f" devices, got {count}"
            )
        self.indices = range(rank, count, num_replicas)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this rank."""
        return iter(self.indices)
