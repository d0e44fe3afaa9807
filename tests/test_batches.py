"""Training batches that break the batch contract end in an error."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from lightning_classmix import (
    ClassMix,
    StreetScenesDataModule,
    Supervised,
    batches,
)
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
            r"^the labeled batch must be {'image': float32 \(B, 3, H, W\), 'label':"
            r" int64 \(B, H, W\)}, got {'image': float32 \(2, 3, 8, 8\), 'label':"
            r" float32 \(2, 8, 8\)}; convert 'label' with \.long\(\)$",
        ),
        (
            changed("unlabeled", "image", torch.zeros(2, 3, 8, 8).double()),
            r"^the unlabeled batch must be {.*}, got {'image': float64 .*}; convert"
            r" 'image' with \.float",
        ),
        (
            tiny.batch()["labeled"],
            r"^a training batch must be .*, got {'image': float32 .*; give the Trainer",
        ),
        (
            tiny.batch() | {"labeled": None},
            "the labeled batch must be .*, got None; a CombinedLoader in mode",
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


IMAGE = torch.zeros(2, 3, 8, 8)
LABEL = torch.zeros(2, 8, 8).long()


@pytest.mark.parametrize(
    ("batch", "remedy"),
    [
        ([IMAGE], "return a dict"),
        (IMAGE, "return a dict"),
        (
            {"image": IMAGE, "mask": LABEL},
            "rename 'mask' to 'label', as under 'Batches",
        ),
        ({"image": IMAGE, "annotation": LABEL}, "rename 'annotation' to 'label'"),
        ({"pixel_values": IMAGE, "labels": LABEL}, "rename 'pixel_values' to 'image'"),
        ({"image": IMAGE}, "add 'label'"),
        ({"image": IMAGE, "label": None}, "'label' must hold the class per pixel"),
        ({"image": IMAGE, "label": LABEL[:1]}, "'label' must hold the class per pixel"),
        ({"image": IMAGE, "label": LABEL.byte()}, "convert 'label' with .long()"),
        ({"image": IMAGE, "label": LABEL[:, :7]}, "'label' must have the size of its"),
        ({"image": IMAGE[0], "label": LABEL}, "'image' must be a tensor of 4"),
        (
            {"image": IMAGE[:, :1], "label": LABEL},
            "'image' must have the in_channels of the",
        ),
        (
            {"image": IMAGE.byte(), "label": LABEL},
            "normalize 'image' to a float tensor",
        ),
        ({"image": IMAGE.double(), "label": LABEL}, "convert 'image' with .float()"),
    ],
)
def test_one_form_of_message_lists_what_a_part_holds(batch: Any, remedy: str) -> None:
    message = (
        "the labeled batch must be {'image': float32 (B, 3, H, W), 'label': int64"
        f" (B, H, W)}}, got {batches.describe(batch)}; {remedy}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        batches.check_part(batch, "labeled", in_channels=3)


def test_images_of_64_bits_fit_a_network_of_64_bits() -> None:
    batch = {"image": IMAGE.double(), "label": LABEL}
    batches.check_part(batch, "labeled", in_channels=3, dtype=torch.float64)


def test_pairs_and_labels_with_a_channel_are_brought_into_the_standard_form() -> None:
    batch = {"labeled": (IMAGE, LABEL[:, None]), "unlabeled": [IMAGE, LABEL]}
    standard = batches.standard_batch(batch)
    assert standard["labeled"]["image"] is IMAGE
    assert torch.equal(standard["labeled"]["label"], LABEL)
    assert standard["unlabeled"].keys() == {"image", "label"}
    assert batch["labeled"][1].ndim == 4


@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_pairs_train_and_validate_as_dicts_do(method: type[Supervised]) -> None:
    batch = tiny.batch()
    image, label = batch["labeled"]["image"], batch["labeled"]["label"]
    forms: list[Any] = [(image, label[:, None]), {"image": image, "label": label}]
    losses = []
    for form in forms:
        torch.manual_seed(0)
        model = method(tiny.CLASSES, network=tiny.network())
        trainer = tiny.trainer(max_steps=1, val_check_interval=1)
        train = {"labeled": form, "unlabeled": (batch["unlabeled"]["image"], label)}
        trainer.fit(model, tiny.loader(train), tiny.loader(form))
        scalars = {n: v for scores in model.scores.values() for n, v in scores.items()}
        scalars |= model.losses
        losses.append({n: float(v) for n, v in scalars.items() if v.ndim == 0})
    assert losses[0] == losses[1]
    assert "miou" in losses[0]


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_batches_to_evaluate_are_checked_at_the_first_one(stage: str) -> None:
    model = Supervised(tiny.CLASSES, network=tiny.network())
    part = {"validate": "validation"}.get(stage, stage)
    with pytest.raises(
        ValueError, match=rf"^the {part} batch must be .*, got float32 "
    ):
        getattr(tiny.trainer(), stage)(model, tiny.loader(IMAGE))


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
