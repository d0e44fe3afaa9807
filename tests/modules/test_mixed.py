"""The parts of a ClassMix step, called alone."""

import pytest
import torch
from torch import Tensor

from lightning_classmix import ops
from lightning_classmix.modules.mixed import (
    Mixed,
    PseudoLabel,
    build_weighting,
    consistency_loss,
)


def test_a_weighting_has_the_name_and_the_threshold_it_was_built_with() -> None:
    confidence = torch.tensor([[[0.5, 0.7, 0.9]]])
    valid = torch.tensor([[[True, True, False]]])
    weighting = build_weighting("confident_pixels", threshold=0.6)
    assert weighting(confidence).tolist() == [[[0, 1, 1]]]
    assert weighting(confidence, valid=valid).tolist() == [[[0, 1, 0]]]
    share = build_weighting("confident_share", threshold=0.9)(confidence)
    torch.testing.assert_close(share, torch.full((1, 1, 3), 1 / 3))


def test_an_unknown_weighting_is_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of .* got 'none'"):
        build_weighting("none", threshold=0.5)  # type: ignore[arg-type]


def example() -> tuple[Tensor, Mixed, PseudoLabel]:
    """Return logits of the student, mixed images and what the teacher predicted."""
    generator = torch.Generator().manual_seed(0)
    logits, teacher = torch.randn(2, 2, 3, 4, 5, generator=generator)
    confidence, label = ops.pseudo_label(teacher)
    label[0, 0] = ops.VOID
    mask = torch.rand(2, 4, 5, generator=generator) < 0.5
    weight = torch.rand(2, 4, 5, generator=generator)
    target = ops.mix(label, mask)
    mixed = Mixed(
        torch.zeros(2, 3, 4, 5), target, mask, ops.mix(confidence, mask), weight
    )
    return logits, mixed, PseudoLabel(teacher, confidence, label)


def test_cross_entropy_compares_with_the_mixed_labels_by_their_weights() -> None:
    logits, mixed, pseudo = example()
    total, count = 0.0, 0
    for i, y, x in (mixed.target != ops.VOID).nonzero().tolist():
        log_probability = logits[i, :, y, x].log_softmax(0)[mixed.target[i, y, x]]
        total -= float(mixed.weight[i, y, x] * log_probability)
        count += 1
    loss = consistency_loss("cross_entropy", logits, mixed, pseudo)
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_squared_error_compares_with_the_mixed_probabilities_by_their_weights() -> None:
    logits, mixed, pseudo = example()
    total, count = 0.0, 0
    for i, y, x in (mixed.target != ops.VOID).nonzero().tolist():
        source = i if mixed.mask[i, y, x] else 1 - i
        expected = pseudo.logits[source, :, y, x].softmax(0)
        error = (logits[i, :, y, x].softmax(0) - expected).square().mean()
        total += float(mixed.weight[i, y, x] * error)
        count += 1
    loss = consistency_loss("mean_squared_error", logits, mixed, pseudo)
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_probabilities_of_a_teacher_in_half_precision_are_those_of_float32() -> None:
    logits, mixed, pseudo = example()
    half = pseudo._replace(logits=pseudo.logits.bfloat16())
    wide = pseudo._replace(logits=half.logits.float())
    losses = [
        consistency_loss("mean_squared_error", logits, mixed, each)
        for each in (half, wide)
    ]
    assert torch.equal(*losses)
