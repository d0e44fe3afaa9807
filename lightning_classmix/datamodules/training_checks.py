"""Check the training sets of a data module."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import IterableDataset

from lightning_classmix.datamodules.stream_loader import check_streams, is_stream
from lightning_classmix.datasets.samples import Source


def check_training_sets(
    labeled: Source,
    unlabeled: Source | IterableDataset[Any] | None,
    batch_sizes: tuple[int, int],
    steps_per_epoch: int | None,
) -> None:
    """Check that training sets are large enough; warn if batches repeat images.

    Args:
        labeled: Labeled dataset.
        unlabeled: Unlabeled dataset or stream; None for `Supervised`.
        batch_sizes: Number of labeled and of unlabeled images in a batch.
        steps_per_epoch: Number of steps in an epoch; None for one pass.

    Raises:
        ValueError: If a dataset is too small, or a stream has no ``steps_per_epoch``.
    """
    check_streams(labeled, unlabeled, steps_per_epoch)
    if not len(labeled):
        raise ValueError("labeled must hold at least 1 image, got 0")
    sizes = {"labeled": (len(labeled), batch_sizes[0])}
    if unlabeled is not None and not is_stream(unlabeled):
        count = len(unlabeled)  # type: ignore[arg-type]
        if count < 2:
            raise ValueError(
                f"unlabeled must hold at least 2 images, got {count}; use Supervised"
                " for no unlabeled images"
            )
        sizes["unlabeled"] = (count, batch_sizes[1])
    for name, (count, batch) in sizes.items():
        if count < batch:
            rank_zero_warn(
                f"{name} holds {count} images for batches of {batch}: images repeat"
                " within a batch, with other augmentation"
            )
