import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.modules.class_weights import (
    ClassWeights,
    balanced_class_weights,
)
from tests import tiny

VOID = 255


def module(kind: type[Supervised] = Supervised, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(tiny.CLASSES, network=tiny.network(), lr=0.1, **options)


def test_the_loss_of_a_pixel_is_multiplied_by_the_factor_of_its_class() -> None:
    model = module(class_weights=[0.5, 1.0, 4.0])
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    label[0, 0] = VOID
    plain = functional.cross_entropy(logits, label, ignore_index=VOID, reduction="none")
    factors = torch.tensor([0.5, 1.0, 4.0])[label.clamp(max=2)]
    expected = (plain * factors).sum() / (label != VOID).sum()
    torch.testing.assert_close(model.labeled_loss(logits, label), expected)


def test_void_and_invalid_labels_have_the_factor_0() -> None:
    weights = ClassWeights([2.0, 3.0], 2)
    label = torch.tensor([[[0, 1, VOID, 7, -1]]])
    assert weights(label).tolist() == [[[2, 3, 0, 0, 0]]]


def test_balanced_factors_have_a_mean_of_1_over_the_pixels() -> None:
    label = torch.tensor([[0] * 16 + [1] * 4 + [3] + [VOID] * 9])
    weights = balanced_class_weights([label], 4)
    assert weights[2] == 0
    torch.testing.assert_close(weights[1] / weights[0], torch.tensor(2.0))
    torch.testing.assert_close(weights[3] / weights[0], torch.tensor(4.0))
    pixels = weights[label[label != VOID]]
    torch.testing.assert_close(pixels.mean(), torch.tensor(1.0))


def test_labels_of_void_alone_are_an_error() -> None:
    with pytest.raises(ValueError, match="not void"):
        balanced_class_weights([torch.full((2, 2), VOID)], 2)


@pytest.mark.parametrize("kind", [Supervised, ClassMix])
def test_balanced_counts_the_labels_of_the_labeled_images(
    kind: type[Supervised],
) -> None:
    model, data = module(kind, class_weights="balanced"), tiny.data(labeled=6)
    tiny.trainer(max_steps=1).fit(model, data)
    expected = balanced_class_weights([label for _, label in tiny.pairs(6)], 3)
    torch.testing.assert_close(model.class_weights.weights, expected)


def test_the_labeled_loss_of_classmix_is_weighted_and_the_mixed_loss_is_not() -> None:
    options: dict[str, Any] = {"labeled_only_steps": 0, "ramp_steps": 0}
    batch = tiny.batch()
    losses = []
    for weights in (None, [2.0, 2.0, 2.0]):
        model = module(ClassMix, class_weights=weights, **options)
        model.training_step(batch, 0)
        losses.append(model.losses)
    plain, weighted = losses
    torch.testing.assert_close(
        weighted["train_loss_labeled"], 2 * plain["train_loss_labeled"]
    )
    torch.testing.assert_close(weighted["train_loss_mixed"], plain["train_loss_mixed"])


def test_counted_factors_are_restored_from_a_checkpoint(tmp_path: Path) -> None:
    model, trainer = module(class_weights="balanced"), tiny.trainer(max_steps=2)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    other = tiny.data()
    other.labeled = [(image, label * 0) for image, label in tiny.pairs(6)]
    resumed = module(class_weights="balanced")
    tiny.trainer(max_steps=4).fit(resumed, other, ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(resumed.class_weights.weights, model.class_weights.weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "class_weights must have 3 values"),
        ([1.0, 2.0, -1.0], "class_weights must be at least 0"),
        ([1.0, 2.0, float("nan")], "class_weights must be at least 0"),
        ("inverse", "class_weights must be balanced or a number for each class"),
    ],
)
def test_wrong_factors_are_an_error(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        module(class_weights=weights)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        image, label = tiny.pairs(1)[0]
        while True:
            yield {"image": image, "label": label}


def test_balanced_needs_a_labeled_dataset_of_known_length() -> None:
    loader = DataLoader(Stream(), batch_size=2)
    with pytest.raises(ValueError, match="labeled dataset of known length"):
        tiny.trainer().fit(module(class_weights="balanced"), loader)
