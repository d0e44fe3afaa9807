"""Loaders whose last batches cannot be trained on are refused before the first step."""

from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from lightning_classmix import ClassMix
from tests import tiny


def fit(unlabeled: int, mode: Any = "max_size_cycle", **options: Any) -> int:
    pairs: Any = tiny.pairs(4)
    labeled = DataLoader(dataset=pairs, batch_size=2)
    images: Any = [{"image": image} for image, _ in tiny.pairs(unlabeled)]
    loaders = {"labeled": labeled, "unlabeled": DataLoader(dataset=images, **options)}
    trainer = tiny.trainer(max_epochs=1, max_steps=-1)
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=0)
    try:
        trainer.fit(module, CombinedLoader(loaders, mode))
    finally:
        steps = trainer.global_step
        assert steps == 0 or steps > 1
    return steps


def test_a_last_unlabeled_batch_of_one_is_refused() -> None:
    message = "got 5 images in batches of 2: the last batch holds 1; use drop_last=True"
    with pytest.raises(ValueError, match=message):
        fit(5, batch_size=2)


@pytest.mark.parametrize("options", [{}, {"drop_last": True}])
def test_unlabeled_batches_of_one_are_refused_before_the_first_batch(
    monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    monkeypatch.delattr(ClassMix, "check_batch")
    message = (
        "the unlabeled batch must hold at least 2 images on each device, got 1; each is"
        " pasted into another image: raise the batch size"
    )
    with pytest.raises(ValueError, match=message):
        fit(4, batch_size=1, **options)


def test_items_that_are_whole_batches_train() -> None:
    def collate(items: Any) -> Any:
        return {"image": items[0]["image"].expand(2, -1, -1, -1)}

    assert fit(4, batch_size=1, collate_fn=collate) == 4


def test_other_last_batches_train() -> None:
    assert fit(5, batch_size=2, drop_last=True) == 2
    assert fit(5, batch_size=3) == 2
    assert fit(5, "min_size", batch_size=2) == 2  # the last batch is not reached


def test_loaders_that_end_before_each_other_are_refused_in_mode_max_size() -> None:
    with pytest.raises(ValueError, match="got batches: 2 labeled, 3 unlabeled; use"):
        fit(6, "max_size", batch_size=2)


def test_a_later_batch_of_one_is_refused_where_lengths_are_unknown() -> None:
    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield from ({"image": image} for image, _ in tiny.pairs(5))

    labeled = tiny.loader(*[tiny.batch()["labeled"]] * 3)
    stream = DataLoader(dataset=Stream(), batch_size=2)
    trainer = tiny.trainer(max_epochs=1, max_steps=-1)
    module = ClassMix(tiny.CLASSES, network=tiny.network())
    loaders = CombinedLoader({"labeled": labeled, "unlabeled": stream}, "min_size")
    with pytest.raises(ValueError, match="unlabeled batch must hold at least 2 images"):
        trainer.fit(module, loaders)
    assert trainer.global_step == 2
