"""A dataset, network and Trainer with which a fit takes a fraction of a second."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lightning_classmix import SemiSupervisedDataModule
from lightning_classmix.datasets.samplers import InfiniteShuffleSampler

CLASSES = 3
ACCELERATOR = "cpu"


def pairs(count: int, *, size: tuple[int, int] = (8, 8), seed: int = 0) -> list[Any]:
    """Make images whose brightest channel is the label."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(count, CLASSES, *size, generator=generator)
    return list(zip(image, image.argmax(1), strict=True))


def data(labeled: int = 6, unlabeled: int = 10, **options: Any) -> Any:
    """Make a data module of ``labeled`` and ``unlabeled`` images, in batches of two."""
    return SemiSupervisedDataModule(
        pairs(labeled),
        pairs(unlabeled, seed=1),
        pairs(4, seed=2),
        test=pairs(4, seed=3),
        **{"batch_size": 2, **options},
    )


def network(*, norm: bool = True) -> nn.Sequential:
    """Make a network of 1×1 convolutions."""
    middle: list[nn.Module] = [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(nn.Conv2d(3, 4, 1), *middle, nn.Conv2d(4, CLASSES, 1))


class WithEncoder(nn.Module):
    """A network of 1×1 convolutions with an encoder and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(image))
        return logits


def trainer(**options: Any) -> Trainer:
    """Make a Trainer that writes no files and prints nothing."""
    return Trainer(
        **{
            "accelerator": ACCELERATOR,
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_steps": 4,
            **options,
        }
    )


def batch(
    labeled: int = 2, unlabeled: int = 2, size: tuple[int, int] = (8, 8)
) -> dict[str, dict[str, Tensor]]:
    """Make a batch that follows the batch contract, without ``valid``."""
    image, label = map(torch.stack, zip(*pairs(labeled, size=size), strict=True))
    unlabeled_image = torch.stack(
        [item[0] for item in pairs(unlabeled, size=size, seed=1)]
    )
    return {
        "labeled": {"image": image, "label": label},
        "unlabeled": {"image": unlabeled_image},
    }


def loader(*batches: Any) -> DataLoader[Any]:
    """Make a loader that yields the given batches."""
    return DataLoader(dataset=batches, batch_size=None)  # type: ignore[arg-type]


class IndexDataset(Dataset[Any]):
    """A dataset whose items are their own indices."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: tuple[int, int]) -> Any:
        return torch.tensor(index)


def shuffle_sampler(
    count: int, length: int, epoch: int = 0, **options: int
) -> InfiniteShuffleSampler:
    """Make a sampler over an `IndexDataset`, at the start of an epoch."""
    sampler = InfiniteShuffleSampler(
        IndexDataset(count), length=length, **{"seed": 0, **options}
    )
    sampler.set_epoch(epoch)
    return sampler
