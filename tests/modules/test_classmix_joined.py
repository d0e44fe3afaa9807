"""The argument ``joined_forward`` of `ClassMix`."""

from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from torch import nn

from lightning_classmix import ClassMix
from tests import tiny


def module(*, norm: bool, **options: Any) -> Any:
    seed_everything(0, verbose=False)
    return ClassMix(
        tiny.CLASSES,
        network=tiny.network(norm=norm),
        labeled_only_steps=0,
        ramp_steps=0,
        **options,
    )


def loss_and_calls(model: Any) -> tuple[torch.Tensor, list[int]]:
    """Return the loss of a step, and the batch sizes that the student was given."""
    sizes: list[int] = []
    model.student.register_forward_hook(
        lambda _, given, __: sizes.append(len(given[0]))
    )
    return model.training_step(tiny.batch(labeled=3), 0)["loss"], sizes


def test_the_student_is_called_once_with_the_same_loss_without_batch_norm() -> None:
    apart, calls_apart = loss_and_calls(module(norm=False))
    joined, calls_joined = loss_and_calls(module(norm=False, joined_forward=True))
    assert (calls_apart, calls_joined) == ([3, 2], [5])
    torch.testing.assert_close(joined, apart)


def test_batch_norm_uses_the_statistics_of_both_parts_and_counts_one_batch() -> None:
    batches = []
    for joined in (False, True):
        model = module(norm=True, joined_forward=joined, augment="none", mixer="none")
        loss_and_calls(model)
        (norm,) = [m for m in model.student.modules() if isinstance(m, nn.BatchNorm2d)]
        batches.append(int(norm.num_batches_tracked or 0))
        given = tiny.batch(labeled=3)
        both = torch.cat([given["labeled"]["image"], given["unlabeled"]["image"]])
        mean = model.student.network[0](both).mean((0, 2, 3)).detach()
        assert norm.running_mean is not None
        assert torch.allclose(norm.running_mean, 0.1 * mean, atol=1e-6) is joined
    assert batches == [2, 1]


def test_images_of_two_sizes_are_refused() -> None:
    batch = tiny.batch(size=(8, 8))
    batch["unlabeled"] = tiny.batch(size=(8, 10))["unlabeled"]
    with pytest.raises(ValueError, match=r"one size .* got \(8, 8\) and \(8, 10\)"):
        module(norm=False, joined_forward=True).training_step(batch, 0)


def test_auxiliary_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="must be False with aux_weight"):
        module(norm=False, joined_forward=True, aux_weight=0.4)
