"""The parts of ClassMix that a user may replace or override."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_classmix import ClassMix, ops
from lightning_classmix.modules.mixed import Mixed, PseudoLabel
from tests import tiny


def module(kind: type[ClassMix] = ClassMix, **options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(norm=False),
        "labeled_only_steps": 0,
        "ramp_steps": 0,
    }
    return kind(tiny.CLASSES, **defaults | options)


def left_half(label: Tensor) -> Tensor:
    return (torch.arange(label.shape[2]) < label.shape[2] // 2).expand(label.shape)


def squared(confidence: Tensor, *, valid: Tensor | None = None) -> Tensor:
    assert valid is not None
    return confidence.square() * valid


def negated(image: Tensor) -> Tensor:
    return -image


def test_mixer_weighting_and_augment_may_be_functions() -> None:
    model = module(mixer=left_half, weighting=squared, augment=negated)
    batch = tiny.batch()
    image = batch["unlabeled"]["image"]
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[0, :3] = False
    batch["unlabeled"]["valid"] = valid
    result = model.training_step(batch, 0)
    confidence, label = ops.pseudo_label(model.teacher(image))
    label = label.where(valid, ops.VOID)
    mask = left_half(label)
    target = ops.mix(label, mask)
    weight = ops.mix(confidence, mask).square() * (target != ops.VOID)
    assert torch.equal(result["mixed"], -ops.mix(image, mask))
    assert torch.equal(result["target"], target)
    torch.testing.assert_close(result["weight"], weight)


@pytest.mark.parametrize(
    ("name", "function"),
    [("mixer", left_half), ("weighting", squared), ("augment", negated)],
)
def test_a_function_is_in_no_hyperparameters_and_no_checkpoint(
    name: str, function: Any, tmp_path: Path
) -> None:
    model = module(threshold=0.5, **{name: function})
    assert name not in model.hparams
    assert model.hparams["threshold"] == 0.5
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert name not in content["hyper_parameters"]
    given: dict[str, Any] = {"network": tiny.network(norm=False)}
    loaded = ClassMix.load_from_checkpoint(tmp_path / "run.ckpt", **given)
    assert getattr(loaded, name) is not function
    assert loaded.threshold == 0.5
    given[name] = function
    loaded = ClassMix.load_from_checkpoint(tmp_path / "run.ckpt", **given)
    assert getattr(loaded, name) is function


@pytest.mark.parametrize("name", ["mixer", "weighting", "augment"])
def test_a_name_is_kept_in_the_hyperparameters(name: str) -> None:
    assert isinstance(module().hparams[name], str)


def test_training_uses_the_pseudo_labels_of_a_subclass() -> None:
    class AllOfClassOne(ClassMix):
        def pseudo_label(self, unlabeled: dict[str, Tensor]) -> PseudoLabel:
            pseudo = super().pseudo_label(unlabeled)
            return pseudo._replace(label=torch.ones_like(pseudo.label))

    target = module(AllOfClassOne).training_step(tiny.batch(), 0)["target"]
    assert (target == 1).all()


@pytest.mark.parametrize("consistency", ["cross_entropy", "mean_squared_error"])
def test_training_uses_the_mixed_images_of_a_subclass(consistency: str) -> None:
    class Unmixed(ClassMix):
        def mix(self, image: Tensor, pseudo: PseudoLabel) -> Mixed:
            mask = torch.ones_like(pseudo.label, dtype=torch.bool)
            weight = torch.full_like(pseudo.confidence, 0.25)
            return Mixed(image, pseudo.label, mask, pseudo.confidence, weight)

    model, batch = module(Unmixed, consistency=consistency), tiny.batch()
    with torch.no_grad():  # else the student predicts what the teacher does
        model.student.network[0].weight += 0.5
    image = batch["unlabeled"]["image"]
    result = model.training_step(batch, 0)
    teacher, student = model.teacher(image), model.student(image)
    if consistency == "cross_entropy":
        loss = torch.nn.functional.cross_entropy(student, teacher.argmax(1))
    else:
        loss = (student.softmax(1) - teacher.softmax(1)).square().mean()
    assert torch.equal(result["mixed"], image)
    torch.testing.assert_close(model.losses["train_loss_mixed"], 0.25 * loss.detach())


def layout(tensors: PseudoLabel | Mixed) -> dict[str, tuple[torch.dtype, Any]]:
    """Return dtype and shape by the name of the field."""
    return {
        name: (value.dtype, tuple(value.shape))
        for name, value in tensors._asdict().items()
    }


@pytest.mark.parametrize("weighting", ["uniform", "confident_share_per_image"])
def test_the_parts_have_their_documented_shapes_and_dtypes(weighting: str) -> None:
    model = module(weighting=weighting)
    image = torch.randn(3, 3, 8, 10)
    valid = torch.ones(3, 8, 10, dtype=torch.bool)
    valid[:, 0] = False
    with torch.no_grad():
        pseudo = model.pseudo_label({"image": image, "valid": valid})
        mixed = model.mix(image, pseudo)
    shape = (3, 8, 10)
    assert {
        name: (value.dtype, value.shape)
        for name, value in zip(pseudo._fields, pseudo, strict=True)
    } == {
        "logits": (torch.float32, (3, tiny.CLASSES, 8, 10)),
        "confidence": (torch.float32, shape),
        "label": (torch.int64, shape),
    }
    assert {
        name: (value.dtype, value.shape)
        for name, value in zip(mixed._fields, mixed, strict=True)
    } == {
        "image": (torch.float32, (3, 3, 8, 10)),
        "target": (torch.int64, shape),
        "mask": (torch.bool, shape),
        "confidence": (torch.float32, shape),
        "weight": (torch.float32, shape),
    }
    assert torch.equal(pseudo.label == ops.VOID, ~valid)
    for confidence in (pseudo.confidence, mixed.confidence):
        assert 1 / tiny.CLASSES <= confidence.min() <= confidence.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labeled": {"image": torch.zeros(2, 3, 8, 8)}}, "label"),
        ({"unlabeled": {}}, "image"),
        ({"unlabeled": {"image": torch.zeros(1, 3, 8, 8)}}, "2 images"),
        ({"unlabeled": {"image": torch.zeros(2, 1, 8, 8)}}, r"\(B, 3, H, W\)"),
    ],
)
def test_both_parts_of_a_batch_are_checked(change: Any, message: str) -> None:
    module().check_batch(tiny.batch())
    with pytest.raises(ValueError, match=message):
        module().check_batch(tiny.batch() | change)
    with pytest.raises(ValueError, match="unlabeled"):
        module().check_batch(tiny.batch()["labeled"])


def test_loaders_whose_batches_cannot_be_mixed_are_refused_before_the_first_step() -> (
    None
):
    batch = tiny.batch(labeled=4, unlabeled=3)
    items = {
        part: [
            {name: value[index] for name, value in tensors.items()}
            for index in range(len(tensors["image"]))
        ]
        for part, tensors in batch.items()
    }
    loaders: dict[str, Any] = {
        part: DataLoader(dataset, batch_size=2)  # type: ignore[arg-type]
        for part, dataset in items.items()
    }
    trainer = tiny.trainer(num_sanity_val_steps=0)
    with pytest.raises(ValueError, match="3 images in batches of 2: the last"):
        trainer.fit(module(), train_dataloaders=CombinedLoader(loaders))
    assert trainer.global_step == 0


class OwnOptimizer(ClassMix):
    """A module with an optimizer of its own, which reads no weights."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.student.parameters(), lr=0.0)


@pytest.mark.parametrize("kind", [ClassMix, OwnOptimizer])
def test_student_and_teacher_start_from_the_same_file(
    kind: type[ClassMix], tmp_path: Path
) -> None:
    source: Any = tiny.network(norm=False)
    weight = source[0].weight
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    equal: list[bool] = []

    class CompareWeights(Callback):
        def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
            for network in (pl_module.student, pl_module.teacher.network):
                equal.append(torch.equal(network.network[0].weight, weight))

    model = module(kind, student_weights=tmp_path / "weights.pth")
    tiny.trainer(max_steps=1, callbacks=[CompareWeights()]).fit(model, tiny.data())
    assert equal == [True, True]
