import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.modules.reproduction import Reproduction
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "lr": 0.1}
    return Supervised(tiny.CLASSES, **defaults | options)


def test_training_raises_the_miou_of_separable_classes() -> None:
    model, data = module(), tiny.data(labeled=20)
    before = tiny.trainer().test(model, data, verbose=False)[0]["test_miou"]
    tiny.trainer(max_steps=150).fit(model, data)
    after = tiny.trainer().test(model, data, verbose=False)[0]["test_miou"]
    assert before < 0.6
    assert after > 0.9


@pytest.mark.parametrize("bare", [True, False])
def test_loss_is_the_cross_entropy_of_the_labeled_images(bare: bool) -> None:
    model, batch = module(), tiny.batch()
    labeled = batch["labeled"]
    loss = model.training_step(labeled if bare else batch, 0)["loss"]
    logits = model.student(labeled["image"])
    expected = functional.cross_entropy(logits, labeled["label"])
    torch.testing.assert_close(loss, expected)


def test_unlabeled_images_do_not_change_the_loss() -> None:
    batch = tiny.batch()
    changed = {**batch, "unlabeled": {"image": torch.full((2, 3, 8, 8), torch.nan)}}
    losses = [module().training_step(b, 0)["loss"] for b in (batch, changed)]
    assert torch.equal(*losses)


@pytest.mark.filterwarnings("ignore:Found 3 module.s. in eval mode")
@pytest.mark.parametrize("kind", [Supervised, ClassMix])
def test_an_encoder_with_learning_rate_factor_zero_is_frozen(kind: type) -> None:
    model: Any = kind(3, network=tiny.WithEncoder(), lr=0.1, encoder_lr_factor=0.0)
    start = {key: value.clone() for key, value in model.student.state_dict().items()}
    tiny.trainer(max_steps=3).fit(model, tiny.data())
    changed = {
        key.removeprefix("network.")
        for key, value in model.student.state_dict().items()
        if not value.equal(start[key])
    }
    assert changed == {"head.weight", "head.bias"}


@pytest.mark.parametrize("factor", [None, 0.0, 0.5])
def test_a_network_without_a_backbone_is_told(
    factor: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    message = "no backbone was found in Sequential.* name it with backbone="
    model = module(encoder_lr_factor=factor)
    with caplog.at_level("INFO"):
        if factor is None:
            tiny.trainer(max_steps=1).fit(model, tiny.data())
            assert re.search(message, caplog.text)
        else:
            with pytest.warns(UserWarning, match=message):
                tiny.trainer(max_steps=1).fit(model, tiny.data())


def test_the_backbone_is_named_by_its_attribute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = tiny.network()
    model = module(network=network, backbone="0", lr=0.1, encoder_lr_factor=0.5)
    assert model.backbone is network[0]
    with caplog.at_level("INFO"):
        trainer = tiny.trainer(max_steps=1)
        trainer.fit(model, tiny.data())
    groups = trainer.optimizers[0].param_groups
    assert {group["initial_lr"] for group in groups} == {0.05, 0.1}
    assert "no backbone" not in caplog.text
    with pytest.raises(ValueError, match="backbone must be None without network="):
        Supervised(3, encoder_weights=None, backbone="encoder")


class TwoHeads(tiny.WithEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.aux_head = nn.Conv2d(4, tiny.CLASSES, 1)

    def forward(self, image: Tensor) -> Any:
        features = self.encoder(image)
        return {"out": self.head(features), "aux": self.aux_head(features)}


def test_aux_weight_is_the_factor_on_the_loss_of_auxiliary_heads() -> None:
    model, batch = module(network=TwoHeads(), aux_weight=0.5), tiny.batch()
    image, label = batch["labeled"].values()
    loss = model.training_step(batch, 0)["loss"]
    output = model.student.network(image)
    expected = functional.cross_entropy(output["out"], label)
    expected += 0.5 * functional.cross_entropy(output["aux"], label)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_an_auxiliary_head_is_trained_by_its_weight_or_frozen(weight: float) -> None:
    network = TwoHeads()
    start = network.aux_head.weight.clone()
    model = ClassMix(3, network=network, aux_weight=weight, labeled_only_steps=1)
    tiny.trainer(max_steps=3).fit(model, tiny.data())
    assert network.aux_head.weight.requires_grad is (weight > 0)
    assert network.aux_head.weight.equal(start) is (weight == 0)


def test_a_checkpoint_without_its_network_is_one_line(tmp_path: Path) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module(network=tiny.WithEncoder()), tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    message = (
        r"^network must be the WithEncoder .*Supervised\.load_from_checkpoint\(.*$"
    )
    with pytest.raises(ValueError, match=message) as error:
        Supervised.load_from_checkpoint(tmp_path / "run.ckpt", encoder="resnet18")
    assert "\n" not in str(error.value)
    Supervised.load_from_checkpoint(tmp_path / "run.ckpt", network=tiny.WithEncoder())


def test_losses_are_logged_under_their_documented_names() -> None:
    trainer = tiny.trainer()
    trainer.fit(module(), tiny.data())
    assert {"train_loss", "train_loss_labeled"} <= trainer.callback_metrics.keys()


def test_the_default_encoder_lr_factor_depends_on_pretrained_weights() -> None:
    assert module(network=tiny.WithEncoder()).encoder_lr_factor == 1.0
    options: dict[str, Any] = {"model": "unet", "encoder": "resnet18"}
    assert Supervised(3, encoder_weights=None, **options).encoder_lr_factor == 1.0
    assert Supervised(3, **options).encoder_lr_factor == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, r"num_classes must be in \[2, 255\], got 1"),
        ({"num_classes": 256}, r"num_classes must be in \[2, 255\], got 256"),
        ({"optimizer": "adam"}, "optimizer must be one of adamw, sgd, got 'adam'"),
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"window": (0, 4)}, r"window must be at least 1, got \(0, 4\)"),
        (
            {"reproduction": {"pad_to": (5, 0)}},
            r"pad_to must be at least 1, got \(5, 0\)",
        ),
        ({"in_channels": 1}, "mean must have 1 values, .* got 3"),
        ({"class_names": ["a"]}, "class_names must hold 3 names, got 1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    defaults: dict[str, Any] = {"num_classes": 3, "network": tiny.network()}
    with pytest.raises(ValueError, match=message):
        Supervised(**defaults | options)


@pytest.mark.parametrize("teacher_mode", ["eval", "train"])
def test_freeze_norm_keeps_scales_and_shifts_and_updates_statistics(
    teacher_mode: str,
) -> None:
    options: dict[str, Any] = {
        "lr": 0.1,
        "weight_decay": 0.5,
        "reproduction": Reproduction(decay_all=True, freeze_norm=True),
        "labeled_only_steps": 1,
        "ramp_steps": 0,
        "teacher_mode": teacher_mode,
    }
    model: Any = ClassMix(3, network=tiny.network(), **options)
    norms = [model.student.network[1], model.teacher.network.network[1]]
    trained = {name for name, p in model.student.named_parameters() if p.requires_grad}
    assert trained == {f"network.{i}.{p}" for i in (0, 2) for p in ("weight", "bias")}
    with torch.no_grad():
        for norm in norms:
            norm.weight.fill_(0.5)
            norm.bias.fill_(0.25)
    start = model.student.network[0].weight.clone()
    tiny.trainer(max_steps=4).fit(model, tiny.data())
    for norm in norms:
        assert (norm.weight == 0.5).all()
        assert (norm.bias == 0.25).all()
        assert norm.weight.grad is None
        assert norm.bias.grad is None
        assert (norm.running_mean != 0).all()
        assert (norm.running_var != 1).all()
    assert not torch.equal(model.student.network[0].weight, start)
    assert not torch.equal(model.teacher.network.network[0].weight, start)


def test_norms_are_trained_without_freeze_norm() -> None:
    model = module()
    tiny.trainer(max_steps=2).fit(model, tiny.data())
    assert (model.student.network[1].weight != 1).any()
