"""Check the training loaders before the first step, where their lengths are known."""

from collections.abc import Mapping, Sized

from lightning.pytorch import Trainer
from torch.utils.data import BatchSampler, DataLoader, default_collate

from lightning_classmix import batches


def check_training_loaders(trainer: Trainer) -> None:
    """Check that every batch of an epoch will have both parts, and images to mix.

    Args:
        trainer: Trainer that has read its loaders, ``{"labeled", "unlabeled"}``.

    Raises:
        ValueError: If a loader ends before the other and yields None from then on, or
            if an unlabeled batch holds a single image.
    """
    combined = trainer.fit_loop._combined_loader
    loaders = None if combined is None else combined.iterables
    if combined is None or not isinstance(loaders, Mapping):
        return
    lengths = {
        name: len(loader) for name, loader in loaders.items() if _has_length(loader)
    }
    if combined._mode == "max_size" and len({*lengths.values()}) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise ValueError(
            f"the loaders must not end before each other, got batches: {counts}; use"
            " CombinedLoader in mode 'max_size_cycle' or 'min_size'"
        )
    unlabeled = loaders.get("unlabeled")
    if not isinstance(unlabeled, DataLoader):
        return
    if unlabeled.batch_size and unlabeled.collate_fn is default_collate:
        batches.check_mixable(unlabeled.batch_size)
    if "unlabeled" not in lengths:
        return
    sampler = unlabeled.batch_sampler
    if not isinstance(sampler, BatchSampler) or not isinstance(sampler.sampler, Sized):
        return
    count = len(sampler.sampler)
    read_whole = trainer.num_training_batches >= lengths["unlabeled"]
    if read_whole and not sampler.drop_last and count % sampler.batch_size == 1:
        raise ValueError(
            "the unlabeled batch must hold at least 2 images on each device, got"
            f" {count} images in batches of {sampler.batch_size}: the last batch holds"
            " 1; use drop_last=True"
        )


def _has_length(loader: object) -> bool:
    try:
        len(loader)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return False
    return True
