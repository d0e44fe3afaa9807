from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from lightning_classmix.mixers import MixerName, build_mixer


def label_map() -> Tensor:
    """Return class maps, int64 (3, 12, 10), with four classes in every image."""
    return torch.arange(4).repeat(3, 12, 3)[..., :10].contiguous()


@pytest.mark.parametrize("name", get_args(MixerName))
def test_every_mixer_returns_one_bool_mask_for_each_image(name: Any) -> None:
    mask = build_mixer(name, num_classes=4)(label_map())
    assert mask.shape == (3, 12, 10)
    assert mask.dtype == torch.bool


@pytest.mark.parametrize("name", ["classmix", "cutmix", "cowmix"])
def test_a_mixer_marks_some_pixels_and_draws_a_new_mask_at_each_call(name: Any) -> None:
    torch.manual_seed(0)
    mixer = build_mixer(name, num_classes=4)
    masks = torch.stack([mixer(label_map()) for _ in range(8)])
    assert masks.flatten(2).any(2).all()
    assert not masks.flatten(2).all(2).any()
    assert len({mask.numpy().tobytes() for mask in masks}) > 1


def test_classmix_marks_whole_classes() -> None:
    label = label_map()
    mask = build_mixer("classmix", num_classes=4)(label)
    for image_label, image_mask in zip(label, mask, strict=True):
        marked = {*image_label[image_mask].tolist()}
        assert len(marked) == 2
        assert not marked & {*image_label[~image_mask].tolist()}


def test_cutmix_marks_one_rectangle() -> None:
    for mask in build_mixer("cutmix", num_classes=4)(label_map()):
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])


def test_none_marks_every_pixel() -> None:
    assert build_mixer("none", num_classes=4)(label_map()).all()


def test_rounding_and_exclude_reach_the_classmix_mask() -> None:
    label = torch.arange(3).repeat(16, 2, 1)  # (B, H, W) = (16, 2, 3)
    floor = build_mixer("classmix", num_classes=3)(label)
    ceil = build_mixer("classmix", num_classes=3, rounding="ceil")(label)
    assert (floor.sum(2) == 1).all()
    assert (ceil.sum(2) == 2).all()
    excluded = build_mixer("classmix", num_classes=3, exclude=[0, 2])(label)
    assert not excluded[..., [0, 2]].any()


def test_exclude_is_copied_when_the_mixer_is_built() -> None:
    exclude = [0]
    mixer = build_mixer("classmix", num_classes=2, rounding="ceil", exclude=exclude)
    exclude.clear()
    label = torch.arange(2).repeat(16, 1, 1)
    assert not mixer(label)[..., 0].any()


def test_the_error_for_an_unknown_mixer_lists_the_names() -> None:
    message = r"^mixer must be one of classmix, cutmix, cowmix, none, got 'mixup'$"
    with pytest.raises(ValueError, match=message):
        build_mixer("mixup", num_classes=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "up"}, "rounding must be 'floor' or 'ceil', got 'up'"),
        ({"exclude": (4,)}, r"exclude must hold classes in \[0, 4\), got \(4,\)"),
        (
            {"exclude": range(4)},
            "exclude must leave at least one of 4 classes",
        ),
        ({"exclude": (-1,)}, r"exclude must hold classes in \[0, 4\), got \(-1,\)"),
    ],
)
def test_arguments_of_the_mask_are_checked_when_the_mixer_is_built(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_mixer("classmix", num_classes=4, **options)


def test_a_rule_that_never_pastes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one of 2 classes, got all of them"):
        build_mixer("classmix", 2, exclude=(1, 0))


@pytest.mark.parametrize("name", get_args(MixerName))
def test_a_mask_is_on_the_device_of_the_label(name: Any) -> None:
    label = torch.zeros(2, 5, 7, dtype=torch.int64, device="meta")
    mask = build_mixer(name, num_classes=4)(label)
    assert (mask.device.type, mask.shape) == ("meta", label.shape)
