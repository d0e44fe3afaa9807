"""Training batches that break the batch contract end in an error."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_classmix import ClassMix, StreetScenesDataModule, Supervised
from tests import tiny


def fit(batch: Any, method: type[Supervised] = ClassMix, **options: Any) -> int:
    model = method(tiny.CLASSES, **{"network": tiny.network()} | options)
    before = [parameter.clone() for parameter in model.student.parameters()]
    trainer = tiny.trainer(max_steps=1)
    try:
        trainer.fit(model, tiny.loader(batch))
    finally:
        after = list(model.student.parameters())
        changed_weights = not all(map(torch.equal, before, after))
        assert changed_weights == (trainer.global_step == 1)
    return trainer.global_step


def test_a_batch_without_valid_trains() -> None:
    assert fit(tiny.batch()) == 1


def test_supervised_trains_on_the_labeled_part_alone() -> None:
    assert fit(tiny.batch()["labeled"], Supervised) == 1


def changed(part: str, key: str, value: Any) -> Any:
    batch: Any = tiny.batch()
    batch[part][key] = value
    return batch


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            tiny.batch(unlabeled=1),
            "the unlabeled batch must hold at least 2 images on",
        ),
        (
            changed("labeled", "label", torch.full((2, 8, 8), 7)),
            r"label must be in \[0, 3\) or 255 \(void\), got \[7\]"
            r" in the first labeled",
        ),
        (changed("labeled", "label", torch.full((2, 8, 8), -1)), r"got \[-1\]"),
        (
            changed("labeled", "label", torch.zeros(2, 8, 8)),
            r"label must be int64, got torch.float32",
        ),
        (
            changed("labeled", "image", torch.zeros(2, 3, 8, 8).byte()),
            r"image must be float, got torch.uint8",
        ),
        (
            changed("labeled", "label", torch.zeros(2, 8, 9).long()),
            r"label must have the size of its image, got \(2, 8, 9\) for \(2, 3, 8",
        ),
        (
            changed("labeled", "image", torch.zeros(2, 1, 8, 8)),
            r"image must have shape \(B, 3, H, W\), got \(2, 1, 8, 8\).* labeled",
        ),
        (
            changed("unlabeled", "image", torch.zeros(2, 1, 8, 8)),
            r"image must have shape \(B, 3, H, W\), got \(2, 1, 8, 8\) .* unlabeled",
        ),
        (
            changed("unlabeled", "valid", torch.ones(2, 8, 8)),
            r"valid must be bool .* got torch.float32",
        ),
        (tiny.batch()["labeled"], "'labeled' and 'unlabeled', got .*; use Supervised"),
        (
            {"labeled": {"image": 0}, "unlabeled": {"image": torch.zeros(2, 3, 8, 8)}},
            r"labeled batch must be a dict with 'image' and 'label', got \['image",
        ),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused_before_the_first_step(
    batch: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(batch)


@pytest.mark.parametrize("labeled", [1, 2])
def test_a_network_with_another_number_of_output_channels_is_refused(
    labeled: int,
) -> None:
    with pytest.raises(
        ValueError, match="network must return num_classes = 3 channels, got 4"
    ):
        fit(tiny.batch(labeled=labeled), network=nn.Conv2d(3, 4, 1))
    with_norm = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match=r"^network must return"):
        fit(tiny.batch(labeled=labeled), network=with_norm)


def test_a_batch_of_void_labels_trains() -> None:
    assert fit(changed("labeled", "label", torch.full((2, 8, 8), 255))) == 1


class Pooling(nn.Module):
    """Batch norm after a global pooling, as in DeepLab's head."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))

    def forward(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.pool(image)
        return image * pooled


@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_a_labeled_batch_of_one_is_refused_for_batch_norm_after_pooling(
    method: type[Supervised],
) -> None:
    with pytest.raises(
        ValueError, match="the labeled batch must hold at least 2 images"
    ):
        fit(
            tiny.batch(labeled=1),
            method,
            network=nn.Sequential(nn.Conv2d(3, 3, 1), Pooling()),
        )


def test_a_labeled_batch_of_one_trains_without_pooling() -> None:
    assert fit(tiny.batch(labeled=1)) == 1


def test_the_error_for_a_label_out_of_range_names_the_validation_batch() -> None:
    batch = {"image": torch.zeros(1, 3, 4, 4), "label": torch.full((1, 4, 4), 9)}
    model = Supervised(tiny.CLASSES, network=tiny.network())
    with pytest.raises(ValueError, match=r"got \[9\] in val batch 0"):
        tiny.trainer().validate(model, tiny.loader(batch), verbose=False)


def test_a_num_classes_smaller_than_the_labels_need_is_refused() -> None:
    data = StreetScenesDataModule(2, 2, val=1, size=(32, 48), batch_size=2)
    model = Supervised(4, network=nn.Conv2d(3, 4, 1))
    with pytest.raises(
        ValueError, match=r"label must be in \[0, 4\) or 255 .* labeled"
    ):
        tiny.trainer(num_sanity_val_steps=0).fit(model, data)
