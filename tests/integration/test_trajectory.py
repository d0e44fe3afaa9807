"""25 training steps, compared with a rewritten loop of the authors' code."""

import copy
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix import ClassMix, EMATeacher
from lightning_classmix.modules.reproduction import Reproduction
from tests import tiny

STEPS, CLASSES, VOID = 25, 4, 255
LR, ENCODER_FACTOR, MOMENTUM, DECAY = 0.5, 0.3, 0.9, 5e-4
LIMIT = 0.9  # decay of the moving average from step 9; the authors' 0.99 from step 99
THRESHOLD, WEIGHT, RAMP = 0.35, 1.0, 10
State = dict[str, Tensor]


def network() -> nn.Module:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    head = nn.Conv2d(6, CLASSES, 1)
    return nn.Sequential(OrderedDict(encoder=encoder, head=head)).double()


def batches() -> list[dict[str, dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(1)
    result = []
    for _ in range(STEPS):
        image, unlabeled = torch.randn(2, 3, 3, 8, 10, generator=generator).double()
        label = torch.randint(CLASSES, (3, 8, 10), generator=generator)
        label[:, 0, :3] = VOID
        labeled = {"image": image, "label": label}
        result.append({"labeled": labeled, "unlabeled": {"image": unlabeled}})
    return result


def masks(kind: str) -> list[Tensor]:
    """Return a mask per step; ``class`` marks two of four striped classes."""
    generator = torch.Generator().manual_seed(2)
    shape = (3, 8, 10)
    if kind == "cut":  # a box of half the area
        corners = torch.randint(0, 4, (STEPS, 3, 2), generator=generator).tolist()
        boxes = torch.zeros(STEPS, *shape, dtype=torch.bool)
        for step, images in enumerate(corners):
            for image, (top, left) in enumerate(images):
                boxes[step, image, top : top + 5, left : left + 8] = True
        return [*boxes]
    if kind == "cow":  # smoothed noise above its median
        noise = torch.rand(STEPS, *shape, generator=generator)
        smooth = functional.avg_pool2d(noise, 3, stride=1, padding=1)
        return [*(smooth > smooth.flatten(2).median(2).values[..., None, None])]
    stripes = torch.arange(80).view(8, 10) % 4
    drawn = torch.rand(STEPS, 3, 4, generator=generator).argsort(2)[..., :2]
    return [torch.stack([torch.isin(stripes, d) for d in step]) for step in drawn]


def authors_loop(
    masks_of_steps: list[Tensor], weighting: str, consistency: str
) -> Iterator[tuple[State, State, float, float, Tensor]]:
    """Yield student, teacher, both losses and the weight after every step."""
    student = network().train()
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    teacher = copy.deepcopy(student).train()
    trained = [(n, p) for n, p in student.named_parameters() if p.requires_grad]
    velocity: dict[str, Tensor] = {}
    for step, (batch, mask) in enumerate(zip(batches(), masks_of_steps, strict=True)):
        # Pseudo-labels; batch norm uses the statistics of the batch.
        image = batch["unlabeled"]["image"]
        with torch.no_grad():
            probability = teacher(image).softmax(1)
        confidence, label = probability.max(1)

        # Image i where the mask is set, the next image elsewhere.
        count = len(image)
        mixed, target = torch.empty_like(image), torch.empty_like(label)
        mixed_confidence = torch.empty_like(confidence)
        mixed_probability = torch.empty_like(probability)
        for i in range(count):
            j, m = (i + 1) % count, mask[i]
            mixed[i] = torch.where(m, image[i], image[j])
            target[i] = torch.where(m, label[i], label[j])
            mixed_confidence[i] = torch.where(m, confidence[i], confidence[j])
            mixed_probability[i] = torch.where(m, probability[i], probability[j])
        confident = (mixed_confidence >= THRESHOLD).double()
        weight = {
            "confident_share": torch.full_like(
                mixed_confidence, confident.mean().item()
            ),
            "confident_pixels": confident,
            "uniform": torch.ones_like(mixed_confidence),
        }[weighting]
        factor = WEIGHT
        if weighting == "uniform":
            factor *= math.exp(-5 * (1 - min(step / RAMP, 1)) ** 2)

        labeled = batch["labeled"]
        labeled_logits = student(labeled["image"])
        mixed_logits = student(mixed)
        loss_labeled = functional.cross_entropy(
            labeled_logits, labeled["label"], ignore_index=VOID
        )
        if consistency == "cross_entropy":
            per_pixel = functional.cross_entropy(mixed_logits, target, reduction="none")
            loss_mixed = (per_pixel * weight).mean()
        else:
            error = (mixed_logits.softmax(1) - mixed_probability) ** 2
            loss_mixed = weight.flatten()[0] * error.mean()
        student.zero_grad()
        (loss_labeled + factor * loss_mixed).backward()  # type: ignore[no-untyped-call]

        rate = LR * (1 - step / STEPS) ** 0.9
        with torch.no_grad():
            for name, parameter in trained:
                factor_of_part = ENCODER_FACTOR if name.startswith("encoder") else 1.0
                assert parameter.grad is not None
                gradient = parameter.grad + DECAY * parameter
                velocity[name] = MOMENTUM * velocity.get(name, 0.0) + gradient
                parameter.sub_(factor_of_part * rate * velocity[name])
            alpha = min(1 - 1 / (step + 1), LIMIT)
            for average, value in zip(
                teacher.parameters(), student.parameters(), strict=True
            ):
                average.copy_(alpha * average + (1 - alpha) * value)
        yield (
            student.state_dict(),
            teacher.state_dict(),
            loss_labeled.item(),
            loss_mixed.item(),
            weight,
        )


class Compare(Callback):
    """Run the authors' loop beside a fit, and compare after every step."""

    def __init__(self, expected: Iterator[Any]) -> None:
        self.expected = expected
        self.steps = 0

    def on_train_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        student, teacher, labeled, mixed, weight = next(self.expected)
        tolerance: dict[str, Any] = {"rtol": 0, "atol": 1e-10}
        for ours, theirs in (
            (pl_module.student.network, student),
            (pl_module.teacher.network.network, teacher),
        ):
            # Running statistics depend on the batches and their order.
            for name, value in ours.state_dict().items():
                torch.testing.assert_close(value, theirs[name], **tolerance)
        losses = pl_module.losses
        assert losses["train_loss_labeled"].item() == pytest.approx(labeled, abs=1e-10)
        assert losses["train_loss_mixed"].item() == pytest.approx(mixed, abs=1e-10)
        torch.testing.assert_close(outputs["weight"], weight, **tolerance)
        self.steps += 1


@pytest.mark.parametrize(
    ("mask", "weighting", "consistency"),
    [
        ("class", "confident_share", "cross_entropy"),
        ("cut", "confident_share", "cross_entropy"),
        ("cow", "confident_share", "cross_entropy"),
        ("class", "confident_pixels", "cross_entropy"),
        ("class", "uniform", "cross_entropy"),  # the authors' "sigmoid"
        ("class", "confident_share", "mean_squared_error"),
    ],
)
def test_25_training_steps_equal_those_of_the_authors(
    mask: str,
    weighting: Any,
    consistency: Any,
) -> None:
    masks_of_steps = masks(mask)
    module = ClassMix(
        CLASSES,
        network=network(),
        optimizer="sgd",
        lr=LR,
        encoder_lr_factor=ENCODER_FACTOR,
        weight_decay=DECAY,
        reproduction=Reproduction(decay_all=True, freeze_norm=True),
        weighting=weighting,
        consistency=consistency,
        threshold=THRESHOLD,
        unlabeled_weight=WEIGHT,
        labeled_only_steps=0,
        ramp_steps=RAMP if weighting == "uniform" else 0,
        augment="none",
        evaluate="student",
        teacher_mode="train",
    )
    next_masks = iter(masks_of_steps)
    module.mixer = lambda label: next(next_masks)
    compare = Compare(authors_loop(masks_of_steps, weighting, consistency))
    trainer = tiny.trainer(
        max_steps=STEPS,
        precision="64-true",
        callbacks=[EMATeacher(LIMIT, average_buffers=False), compare],
    )
    trainer.fit(module, tiny.loader(*batches()))
    assert compare.steps == STEPS


def test_the_trajectory_has_a_varying_confident_share_and_a_falling_loss() -> None:
    steps = [
        (labeled, weight.clone())
        for _, _, labeled, _, weight in authors_loop(
            masks("class"), "confident_share", "cross_entropy"
        )
    ]
    shares = [weight.flatten()[0].item() for _, weight in steps]
    assert 0.05 < min(shares) < max(shares) < 0.999
    assert steps[-1][0] < steps[0][0]
