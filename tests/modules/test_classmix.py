from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix import ClassMix, EMATeacher, Supervised, ops
from lightning_classmix.augment import Olsson2021Augment, StrongAugment
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(norm=False),
        "labeled_only_steps": 0,
        "ramp_steps": 0,
        "lr": 0.1,
    }
    return ClassMix(tiny.CLASSES, **defaults | options)


def upper_half(label: Tensor) -> Tensor:
    """Mark the upper half of every image."""
    mask = torch.zeros_like(label, dtype=torch.bool)
    mask[:, : label.shape[1] // 2] = True
    return mask


def deterministic(model: Any) -> Any:
    """Set a fixed mask and no augmentation."""
    model.mixer = upper_half
    model.augment = nn.Identity()
    return model


def expected_mixed_loss(
    model: ClassMix, image: Tensor, weighting: str, threshold: float
) -> Tensor:
    """Return the loss by the algorithm of the paper, in a loop over the images."""
    with torch.no_grad():
        probabilities = model.teacher(image).softmax(1)
    confidence, label = probabilities.max(1)
    half = image.shape[2] // 2
    losses, confidences = [], []
    for i in range(len(image)):
        j = (i + 1) % len(image)
        mixed = torch.cat([image[i, :, :half], image[j, :, half:]], dim=1)
        target = torch.cat([label[i, :half], label[j, half:]])
        logits = model.student(mixed[None])
        losses.append(functional.cross_entropy(logits, target[None], reduction="none"))
        confidences.append(torch.cat([confidence[i, :half], confidence[j, half:]]))
    loss = torch.cat(losses)
    confident = torch.stack(confidences) >= threshold
    if weighting == "uniform":
        return loss.mean()
    if weighting == "confident_pixels":
        return (loss * confident).mean()
    return loss.mean() * confident.float().mean()


@pytest.mark.parametrize(
    "weighting", ["confident_share", "confident_pixels", "uniform"]
)
def test_the_loss_of_a_step_follows_the_algorithm_of_the_paper(weighting: str) -> None:
    model = deterministic(
        module(weighting=weighting, threshold=0.4, unlabeled_weight=0.7)
    )
    batch = tiny.batch(unlabeled=3)
    labeled, image = batch["labeled"], batch["unlabeled"]["image"]
    result = model.training_step(batch, 0)
    mixed = expected_mixed_loss(model, image, weighting, 0.4)
    supervised = functional.cross_entropy(
        model.student(labeled["image"]), labeled["label"]
    )
    torch.testing.assert_close(result["loss"], supervised + 0.7 * mixed)
    assert 0 < result["weight"].mean() <= 1


def test_a_step_returns_the_mixed_images_and_targets() -> None:
    model, batch = deterministic(module()), tiny.batch()
    image = batch["unlabeled"]["image"]
    result = model.training_step(batch, 0)
    label = model.teacher(image).argmax(1)
    assert torch.equal(result["mixed"], ops.mix(image, upper_half(label)))
    assert torch.equal(result["target"], ops.mix(label, upper_half(label)))


def test_only_the_student_receives_gradients() -> None:
    model = deterministic(module())
    model.training_step(tiny.batch(), 0)["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.student.parameters())
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


def test_padded_pixels_are_void_and_have_weight_zero() -> None:
    batch = tiny.batch(unlabeled=2)
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[0, :, :3] = False
    batch["unlabeled"]["valid"] = valid
    model = module(weighting="confident_share", threshold=0.0)
    model.augment = nn.Identity()
    masks: list[Tensor] = []
    mixer = model.mixer
    model.mixer = lambda label: masks.append(mixer(label)) or masks[-1]  # type: ignore[func-returns-value]
    result = model.training_step(batch, 0)
    assert not masks[0][~valid].any()
    assert torch.equal(result["target"] == ops.VOID, ~ops.mix(valid, masks[0]))
    assert torch.equal(result["weight"] == 0, ~ops.mix(valid, masks[0]))
    # The values of padded pixels have no effect.
    image = batch["unlabeled"]["image"]
    batch["unlabeled"]["image"] = image.where(valid[:, None], 50.0)
    torch.testing.assert_close(model.training_step(batch, 0)["loss"], result["loss"])


def test_an_unlabeled_batch_of_padding_adds_nothing_to_the_loss() -> None:
    batch = tiny.batch()
    supervised = module(unlabeled_weight=0.0).training_step(batch, 0)["loss"]
    batch["unlabeled"]["valid"] = torch.zeros(2, 8, 8, dtype=torch.bool)
    model = module()
    loss = model.training_step(batch, 0)["loss"]
    torch.testing.assert_close(loss, supervised)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


def test_the_factor_is_zero_then_rises_then_stays_constant() -> None:
    model = module(labeled_only_steps=3, ramp_steps=4, unlabeled_weight=2.0)
    factors: list[float] = []

    class RecordFactor(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            factors.append(pl_module.mixed_factor())

    tiny.trainer(max_steps=10, callbacks=[RecordFactor()]).fit(model, tiny.data())
    ramp = [2.0 * ops.sigmoid_ramp(step, 4) for step in range(4)]
    assert factors == pytest.approx([0.0] * 3 + ramp + [2.0] * 3)


def test_labeled_only_steps_train_like_supervised() -> None:
    model = module(labeled_only_steps=5)
    seed_everything(0, verbose=False)
    baseline = Supervised(tiny.CLASSES, network=tiny.network(norm=False), lr=0.1)
    for trained in (model, baseline):
        seed_everything(0, verbose=False)
        tiny.trainer(max_steps=5).fit(trained, tiny.data())
    expected = baseline.student.state_dict()
    assert all(
        torch.equal(v, expected[k]) for k, v in model.student.state_dict().items()
    )


@pytest.mark.parametrize("mixer", ["classmix", "cutmix", "cowmix", "none"])
def test_a_module_trains_with_every_mixer(mixer: str) -> None:
    model = module(mixer=mixer)
    trainer = tiny.trainer(max_steps=3)
    trainer.fit(model, tiny.data())
    assert trainer.callback_metrics["train_loss"].isfinite()
    mask = model.mixer(torch.zeros(2, 8, 8).long())
    assert mask.all() if mixer == "none" else not mask.all()


def test_rounding_and_exclude_reach_the_mixer() -> None:
    label = torch.tensor([[[0, 1, 2]]])
    ceil = module(rounding="ceil", exclude=[0])
    mask = torch.cat([ceil.mixer(label) for _ in range(20)])
    assert not mask[..., 0].any()
    assert (mask.sum(2) == 1).all()


def test_masks_depend_on_the_batch_and_not_on_the_global_generator() -> None:
    model, batch = module(), tiny.batch(size=(16, 16))
    torch.manual_seed(1)
    first = model.training_step(batch, 0)["mixed"]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(model.training_step(batch, 0)["mixed"], first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(model.training_step(batch, 1)["mixed"], first)


def test_validation_scores_teacher_and_student() -> None:
    model = module(evaluate="student")
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.zero_()
    scores = tiny.trainer().validate(model, tiny.data(), verbose=False)[0]
    assert (
        scores["val_miou"] == scores["val_miou_student"] != scores["val_miou_teacher"]
    )


@pytest.mark.parametrize("evaluate", ["teacher", "student"])
def test_forward_uses_the_network_named_by_evaluate(evaluate: str) -> None:
    model = module(evaluate=evaluate)
    with torch.no_grad():
        next(model.student.parameters()).fill_(2.0)
    image = torch.randn(1, 3, 8, 8)
    assert torch.equal(model(image), getattr(model, evaluate)(image))
    assert not torch.equal(model.student(image), model.teacher(image))


def test_an_ema_teacher_is_added_once_unless_the_trainer_has_one() -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module(), tiny.data())
    trainer.test(module(), tiny.data(), verbose=False)
    assert sum(isinstance(each, EMATeacher) for each in trainer.callbacks) == 1  # type: ignore[attr-defined]

    own = EMATeacher(0.5)
    trainer = tiny.trainer(max_steps=1, callbacks=[own])
    trainer.fit(module(), tiny.data())
    assert [c for c in trainer.callbacks if isinstance(c, EMATeacher)] == [own]  # type: ignore[attr-defined]


def test_training_values_are_logged_under_their_documented_names() -> None:
    trainer = tiny.trainer()
    trainer.fit(module(threshold=0.0), tiny.data())
    names = {"train_loss", "train_loss_labeled", "train_loss_mixed", "train_confident"}
    assert names <= trainer.callback_metrics.keys()
    assert trainer.callback_metrics["train_confident"] == 1


@pytest.mark.slow
def test_a_checkpoint_restores_hyperparameters_and_weights(tmp_path: Path) -> None:
    model = ClassMix(
        3,
        model="unet",
        encoder="resnet18",
        encoder_weights=None,
        labeled_only_steps=0,
        exclude=(1,),
    )
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    loaded = ClassMix.load_from_checkpoint(tmp_path / "run.ckpt")
    assert loaded.hparams == model.hparams
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("step", [5, 7])
def test_a_run_resumes_exactly_from_the_end_and_the_middle_of_an_epoch(
    step: int, tmp_path: Path
) -> None:
    def run(folder: str, **options: Any) -> dict[str, Tensor]:
        model = module(network=tiny.network(), labeled_only_steps=2)
        seed_everything(0, verbose=False)
        checkpoints = ModelCheckpoint(
            tmp_path / folder, "{step}", every_n_train_steps=step, save_top_k=-1
        )
        trainer = tiny.trainer(
            max_steps=13, callbacks=[checkpoints], enable_checkpointing=True
        )
        trainer.fit(model, tiny.data(), **options)
        state: dict[str, Tensor] = model.state_dict()
        return state

    whole = run("whole")
    torch.manual_seed(99)
    half = tmp_path / "whole" / f"step={step}.ckpt"
    resumed = run("resumed", ckpt_path=str(half))
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.1}, r"threshold must be in \[0, 1\], got 1.1"),
        ({"threshold": -0.1}, r"threshold must be in \[0, 1\], got -0.1"),
        ({"mixer": "mixup"}, "mixer must be one of classmix, .* got 'mixup'"),
        ({"augment": "weak"}, "augment must be one of strong, .* got 'weak'"),
        (
            {"consistency": "l1"},
            "consistency must be one of cross_entropy, .* got 'l1'",
        ),
        ({"weighting": "none"}, "kind must be one of .* got 'none'"),
        ({"rounding": "up"}, "rounding must be 'floor' or 'ceil', got 'up'"),
        ({"exclude": [3]}, r"exclude must hold classes in \[0, 3\), got \(3,\)"),
        ({"evaluate": "both"}, "evaluate must be one of student, teacher, got 'both'"),
        (
            {"teacher_mode": "x"},
            "teacher_mode must be one of eval, train, got 'x'",
        ),
        ({"unlabeled_weight": -1.0}, "unlabeled_weight must be at least 0, got -1"),
        ({"labeled_only_steps": -1}, "labeled_only_steps must be at least 0, got -1"),
        ({"ramp_steps": -1}, "ramp_steps must be at least 0, got -1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options)


def expected_squared_error(
    model: ClassMix, image: Tensor, valid: Tensor, weighting: str, threshold: float
) -> Tensor:
    """Return the authors' loss, in a loop over the pixels that are not padded."""
    with torch.no_grad():
        probabilities = model.teacher(image).softmax(1)
    count, height, width = len(image), image.shape[2], image.shape[3]
    mixed = torch.empty_like(image)
    for i in range(count):
        for y in range(height):
            source = i if y < height // 2 else (i + 1) % count
            mixed[i, :, y] = image[source, :, y]
    predicted = model.student(mixed).softmax(1)
    errors, confident_pixels, image_indices = [], [], []
    for i in range(count):
        for y in range(height):
            source = i if y < height // 2 else (i + 1) % count
            for x in range(width):
                if not valid[source, y, x]:
                    continue
                target = probabilities[source, :, y, x]
                errors.append(((predicted[i, :, y, x] - target) ** 2).mean())
                confident_pixels.append(float(target.max() >= threshold))
                image_indices.append(i)
    error = torch.stack(errors)
    confident = torch.tensor(confident_pixels)
    image_index = torch.tensor(image_indices)
    weight = {
        "uniform": torch.ones(len(image_indices)),
        "confident_pixels": confident,
        "confident_share": confident.mean().expand(len(image_indices)),
        "confident_share_per_image": torch.stack(
            [confident[image_index == index].mean() for index in image_indices]
        ),
    }[weighting]
    return (error * weight).mean()


@pytest.mark.parametrize("weighting", get_args(ops.PixelWeighting))
@pytest.mark.parametrize("padded", [False, True])
def test_mean_squared_error_compares_with_the_mixed_probabilities(
    weighting: str, padded: bool
) -> None:
    options = {"weighting": weighting, "threshold": 0.4, "unlabeled_weight": 0.7}
    model = deterministic(module(consistency="mean_squared_error", **options))
    with torch.no_grad():  # else student and teacher predict the same
        model.student.network[0].weight += 0.5
    batch = tiny.batch(unlabeled=3)
    labeled, image = batch["labeled"], batch["unlabeled"]["image"]
    valid = torch.ones(3, 8, 8, dtype=torch.bool)
    if padded:
        valid[0, :3], valid[1, :, 5:] = False, False
        batch["unlabeled"]["valid"] = valid
    labeled["label"][0, 0] = ops.VOID
    result = model.training_step(batch, 0)
    expected = expected_squared_error(model, image, valid, weighting, 0.4)
    supervised = functional.cross_entropy(
        model.student(labeled["image"]), labeled["label"], ignore_index=ops.VOID
    )
    assert expected > 1e-3
    torch.testing.assert_close(model.losses["train_loss_mixed"], expected.detach())
    torch.testing.assert_close(result["loss"], supervised + 0.7 * expected)
    result["loss"].backward()
    assert all(p.grad is None for p in model.teacher.parameters())


def test_mean_squared_error_of_padding_alone_is_zero() -> None:
    model, batch = module(consistency="mean_squared_error"), tiny.batch()
    batch["unlabeled"]["valid"] = torch.zeros(2, 8, 8, dtype=torch.bool)
    model.training_step(batch, 0)["loss"].backward()
    assert model.losses["train_loss_mixed"] == 0
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


def test_confident_share_per_image_weights_the_pixels_of_each_image() -> None:
    model = deterministic(module(weighting="confident_share_per_image", threshold=0.4))
    batch = tiny.batch(unlabeled=3)
    image = batch["unlabeled"]["image"]
    valid = torch.ones(3, 8, 8, dtype=torch.bool)
    valid[1, :, 6:] = False
    batch["unlabeled"]["valid"] = valid
    result = model.training_step(batch, 0)
    confidence, label = ops.pseudo_label(model.teacher(image))
    label = label.where(valid, ops.VOID)
    assert torch.equal(result["target"], ops.mix(label, upper_half(label)))
    shares = []
    for i, target in enumerate(result["target"]):
        mixed_confidence = ops.mix(confidence, upper_half(label))[i]
        confident = mixed_confidence[target != ops.VOID] >= 0.4
        shares.append(float(confident.float().mean()))
        weight = torch.full((8, 8), shares[-1]).where(target != ops.VOID, 0.0)
        torch.testing.assert_close(result["weight"][i], weight)
    assert len({round(share, 4) for share in shares}) == 3


def test_augment_none_leaves_the_mixed_images_unchanged() -> None:
    model, batch = module(augment="none"), tiny.batch()
    model.mixer = upper_half
    image = batch["unlabeled"]["image"]
    mixed = ops.mix(image, upper_half(image[:, 0]))
    assert torch.equal(model.training_step(batch, 0)["mixed"], mixed)


@pytest.mark.parametrize(
    ("name", "kind"), [("strong", StrongAugment), ("olsson2021", Olsson2021Augment)]
)
def test_the_augmentation_has_the_named_class_and_the_given_normalization(
    name: str, kind: type[StrongAugment]
) -> None:
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    model = module(augment=name, mean=mean, std=std)
    assert type(model.augment) is kind
    torch.testing.assert_close(model.augment.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(model.augment.std.flatten(), torch.tensor(std))
    batch = tiny.batch(unlabeled=4)
    first = [model.training_step(batch, index)["mixed"] for index in range(8)]
    second = [model.training_step(batch, index)["mixed"] for index in range(8)]
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
