import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import BackboneFinetuning
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix import ClassMix, Supervised, build_model, ops
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "lr": 0.1}
    return Supervised(tiny.CLASSES, **defaults | options)


class WithEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, tiny.CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(image))
        return logits


def test_training_learns_what_can_be_learned() -> None:
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


def test_labels_are_all_that_matters_to_the_loss() -> None:
    batch = tiny.batch()
    other = {**batch, "unlabeled": {"image": torch.full((2, 3, 8, 8), torch.nan)}}
    losses = [module().training_step(each, 0)["loss"] for each in (batch, other)]
    assert torch.equal(*losses)


def groups(model: Supervised) -> list[dict[str, Any]]:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    return trainer.optimizers[0].param_groups


def test_encoder_and_head_learn_at_their_own_rates_and_norms_do_not_decay() -> None:
    model = module(
        network=WithEncoder(), lr=0.1, encoder_lr_factor=0.5, weight_decay=0.25
    )
    found = {
        name: (group["initial_lr"], group["weight_decay"])
        for group in groups(model)
        for name, parameter in model.student.network.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert found == {
        "encoder.0.weight": (0.05, 0.25),
        "encoder.0.bias": (0.05, 0.0),
        "encoder.1.weight": (0.05, 0.0),
        "encoder.1.bias": (0.05, 0.0),
        "head.weight": (0.1, 0.25),
        "head.bias": (0.1, 0.0),
    }


def test_norms_and_biases_decay_if_all_shall() -> None:
    for decay_all, decays in ((False, {0.25, 0.0}), (True, {0.25})):
        model = module(weight_decay=0.25, decay_all=decay_all)
        assert {group["weight_decay"] for group in groups(model)} == decays


def test_a_network_without_an_encoder_learns_at_one_rate() -> None:
    assert {group["initial_lr"] for group in groups(module())} == {0.1}


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)]
)
def test_optimizer_is_chosen_by_name(name: str, kind: type) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module(optimizer=name), tiny.data())
    assert type(trainer.optimizers[0]) is kind
    if name == "sgd":
        assert trainer.optimizers[0].param_groups[0]["momentum"] == 0.9


def test_rate_falls_by_the_polynomial_at_every_step() -> None:
    rates: list[float] = []

    class Look(Callback):
        def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    options = {"max_steps": -1, "max_epochs": 2, "callbacks": [Look()]}
    tiny.trainer(**options).fit(module(), tiny.data())
    assert rates == pytest.approx([0.1 * ops.poly(step, 10) for step in range(10)])


def test_a_run_without_an_end_is_refused() -> None:
    trainer = tiny.trainer(max_steps=-1, max_epochs=-1)
    with pytest.raises(ValueError, match="max_steps or max_epochs must be set"):
        trainer.fit(module(), tiny.data())


def test_scores_are_logged_by_their_names() -> None:
    model = module(class_names=["sky", "road", "tree"])
    metrics = tiny.trainer().validate(model, tiny.data(), verbose=False)[0]
    assert metrics.keys() == {
        "val_miou",
        "val_miou_student",
        "val_loss",
        "val_accuracy",
        "val_iou/sky",
        "val_iou/road",
        "val_iou/tree",
    }
    per_class = [metrics[f"val_iou/{name}"] for name in ("sky", "road", "tree")]
    assert metrics["val_miou"] == pytest.approx(sum(per_class) / 3)


def test_training_values_are_logged_by_their_names() -> None:
    trainer = tiny.trainer()
    trainer.fit(module(), tiny.data())
    assert {"train_loss", "train_loss_labeled"} <= trainer.callback_metrics.keys()


def test_logits_are_upsampled_to_the_label() -> None:
    model = module(network=nn.Conv2d(3, 3, 1))
    image, label = torch.randn(1, 3, 4, 4), torch.zeros(1, 9, 10).long()
    model.eval()
    loader = tiny.loader({"image": image, "label": label})
    logits = functional.interpolate(model(image), (9, 10), mode="bilinear")
    expected = functional.cross_entropy(logits, label)
    assert tiny.trainer().validate(model, loader, verbose=False)[0]["val_loss"] == (
        pytest.approx(float(expected.detach()), rel=1e-5)
    )


def test_prediction_comes_at_the_size_asked_for() -> None:
    model = module()
    batch = {
        "image": torch.randn(2, 3, 8, 8),
        "name": ["a", "b"],
        "size": torch.tensor([[8, 8], [5, 7]]),
    }
    found = model.predict_step(batch, 0)
    assert found["name"] == ["a", "b"]
    assert [tuple(label.shape) for label in found["label"]] == [(8, 8), (5, 7)]
    assert torch.equal(found["label"][0], model(batch["image"])[0].argmax(0))


def test_a_checkpoint_loads_with_defaults_and_fetches_nothing(tmp_path: Path) -> None:
    model = Supervised(
        3, model="unet", encoder="resnet18", encoder_weights=None, lr=0.01
    )
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    checkpoint = torch.load(tmp_path / "run.ckpt", weights_only=True)
    # Weights by name would need the network; a load must not want them.
    checkpoint["hyper_parameters"]["encoder_weights"] = "imagenet"
    torch.save(checkpoint, tmp_path / "run.ckpt")
    loaded = Supervised.load_from_checkpoint(tmp_path / "run.ckpt")
    assert loaded.lr == 0.01
    image = torch.randn(1, 3, 40, 40)
    assert torch.equal(loaded.eval()(image), model.eval()(image))
    tiny.trainer(max_steps=1).fit(loaded, tiny.data())


def test_a_checkpoint_loads_with_ones_own_network(tmp_path: Path) -> None:
    model = module()
    trainer = tiny.trainer()
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    loaded: Any = Supervised.load_from_checkpoint(
        tmp_path / "run.ckpt", network=tiny.network()
    )
    assert torch.equal(
        loaded.student.network[0].weight, model.student.network[0].weight
    )


def test_encoder_weights_of_a_file_are_read_when_a_fit_starts(tmp_path: Path) -> None:
    source: Any = build_model("unet", "resnet18", 3).encoder
    assert source is not None
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model: Any = Supervised(
        3,
        model="unet",
        encoder="resnet18",
        encoder_weights=str(tmp_path / "weights.pth"),
        lr=0.0,
    )
    before = model.student.encoder.conv1.weight.clone()
    tiny.trainer(max_steps=1).fit(model, tiny.data())
    after = model.student.encoder.conv1.weight
    assert torch.equal(after, source.conv1.weight)
    assert not torch.equal(after, before)
    # A second fit goes on from what was learned.
    with torch.no_grad():
        after.fill_(1.0)
    tiny.trainer(max_steps=1).fit(model, tiny.data())
    assert (model.student.encoder.conv1.weight == 1.0).all()


def test_training_starts_from_the_student_of_an_earlier_run(tmp_path: Path) -> None:
    first = module()
    trainer = tiny.trainer()
    trainer.fit(first, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    seed_everything(9, verbose=False)
    second: Any = ClassMix(
        3, network=tiny.network(), student_weights=str(tmp_path / "run.ckpt"), lr=0.0
    )
    tiny.trainer(max_steps=1).fit(second, tiny.data())
    weight = first.student.network[0].weight
    assert torch.equal(second.student.network[0].weight, weight)
    assert torch.equal(second.teacher.network.network[0].weight, weight)


def test_a_missing_or_unfitting_file_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"student_weights .* got none\.ckpt"):
        tiny.trainer().fit(module(student_weights="none.ckpt"), tiny.data())
    torch.save({"state_dict": {"student.other": torch.zeros(1)}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"student_weights must fit, got .*x\.ckpt"):
        tiny.trainer().fit(
            module(student_weights=str(tmp_path / "x.ckpt")), tiny.data()
        )


# Norms are trained throughout, so their parameters are in the optimizer already.
@pytest.mark.filterwarnings("ignore:The provided params to be frozen already exist")
def test_backbone_finetuning_freezes_the_encoder_and_thaws_it() -> None:
    model = module(network=WithEncoder())
    weights: list[Tensor] = []

    class Look(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            weights.append(pl_module.backbone[0].weight.detach().clone())

    weights.append(model.backbone[0].weight.detach().clone())
    finetuning = BackboneFinetuning(unfreeze_backbone_at_epoch=1, verbose=False)
    options = {"max_steps": -1, "max_epochs": 3, "callbacks": [finetuning, Look()]}
    tiny.trainer(**options).fit(model, tiny.data())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_rate_of_the_encoder_depends_on_whether_it_is_pretrained() -> None:
    assert module(network=WithEncoder()).encoder_lr_factor == 1.0
    options: dict[str, Any] = {"model": "unet", "encoder": "resnet18"}
    assert Supervised(3, encoder_weights=None, **options).encoder_lr_factor == 1.0
    assert Supervised(3, **options).encoder_lr_factor == 0.1


def test_a_run_of_no_steps_ends() -> None:
    trainer = tiny.trainer(max_steps=0)
    trainer.fit(module(), tiny.data())
    assert trainer.global_step == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, r"num_classes must be in \[2, 255\], got 1"),
        ({"num_classes": 256}, r"num_classes must be in \[2, 255\], got 256"),
        ({"optimizer": "adam"}, "optimizer must be 'adamw' or 'sgd', got 'adam'"),
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"window": (0, 4)}, r"window must be at least \(1, 1\), got \(0, 4\)"),
        ({"pad_to": (5, 0)}, r"pad_to must be at least \(1, 1\), got \(5, 0\)"),
        ({"in_channels": 1}, "mean must have 1 values, .* got 3"),
        ({"class_names": ["a"]}, "class_names must hold 3 names, got 1"),
    ],
)
def test_a_bad_argument_is_refused(options: dict[str, Any], message: str) -> None:
    defaults: dict[str, Any] = {"num_classes": 3, "network": tiny.network()}
    with pytest.raises(ValueError, match=message):
        Supervised(**defaults | options)


def test_windows_are_averaged_in_validation_and_prediction() -> None:
    seen: list[tuple[int, ...]] = []

    class Watched(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(tuple(input.shape[2:]))
            return super().forward(input)

    module = Supervised(tiny.CLASSES, network=Watched(3, 3, 1), window=(4, 6))
    tiny.trainer().validate(module, tiny.data(), verbose=False)
    assert set(seen) == {(4, 6)}
    image = torch.randn(1, 3, 8, 8)
    batch = {"image": image, "name": ["a"], "size": torch.tensor([[8, 8]])}
    label = module.predict_step(batch, 0)["label"][0]
    assert label.equal(module(image).argmax(1)[0])


class LooksLeft(nn.Module):
    """Say class 0 where the left neighbor is bright."""

    def __init__(self, bright: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(bright))

    def forward(self, image: Tensor) -> Tensor:
        left = functional.pad(image[:, :1], (1, 0))[..., :-1]
        return torch.cat([self.scale * left, torch.zeros_like(left)], dim=1)


def test_the_mirror_image_counts_in_validation_test_and_prediction() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, 0] = torch.tensor([3.0, 0.0, -1.0, 0.0])
    label = torch.tensor([[[0, 0, 1, 1]]])
    # Of class 0: by the left 0.5, s(3), 0.5, s(-1), by the right 0.5, s(-1), 0.5, 0.5.
    high, low = (1 / (1 + math.exp(-x)) for x in (3, -1))
    alone = [0.5, high, 0.5, low]
    averaged = [0.5, (high + low) / 2, 0.5, (low + 0.5) / 2]
    for flip_average, right in ((False, alone), (True, averaged)):
        model = Supervised(2, network=LooksLeft(1.0), flip_average=flip_average)
        truth = [right[0], right[1], 1 - right[2], 1 - right[3]]
        loss = -sum(map(math.log, truth)) / 4
        loader = tiny.loader({"image": image, "label": label})
        for run, key in (("validate", "val_loss"), ("test", "test_loss")):
            found = getattr(tiny.trainer(), run)(model, loader, verbose=False)
            assert found[0][key] == pytest.approx(loss, rel=1e-5)

    # Left neighbors are 0, 2, -1, -2, right ones -1, -2, -1, 0.
    batch = {"image": image - 1, "name": ["a"], "size": torch.tensor([[1, 4]])}
    whole, both = (
        Supervised(2, network=LooksLeft(1.0), flip_average=flip_average)
        .predict_step(batch, 0)["label"][0]
        .tolist()
        for flip_average in (False, True)
    )
    assert whole == [[0, 0, 1, 1]]
    assert both == [[1, 0, 1, 1]]


def test_the_mirror_image_is_seen_window_by_window() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(input)
            return super().forward(input)

    network = Watched(3, 3, 1)
    model = Supervised(3, network=network, window=(2, 4), flip_average=True)
    image = torch.randn(1, 3, 2, 6)
    model._logits("student", image)
    places = [image[..., :4], image[..., 2:], image.flip(3)[..., :4]]
    for window, expected in zip(seen, [*places, image.flip(3)[..., 2:]], strict=True):
        assert torch.equal(window, expected)


def test_an_image_that_could_not_be_read_goes_on_with_its_error() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    batch = {"name": ["7"], "error": ["broken"]}
    assert module.predict_step(batch, 0) == batch


def test_the_last_scores_of_every_network_are_kept() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=4, val_check_interval=2)
    trainer.fit(module, tiny.data(labeled=8, unlabeled=8))
    scores = module.scores["student"]
    torch.testing.assert_close(scores.miou, trainer.callback_metrics["val_miou"])
    assert module.scored_step == 4


def test_a_checkpoint_tells_the_classes_of_its_parts(tmp_path: Path) -> None:
    trainer = tiny.trainer(max_steps=1)
    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["class_paths"] == {
        "model": "lightning_classmix.modules.supervised.Supervised",
        "data": "lightning_classmix.datamodules.semi_supervised"
        ".SemiSupervisedDataModule",
    }


def test_a_sanity_check_keeps_no_scores() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=2, num_sanity_val_steps=2, val_check_interval=5)
    trainer.fit(module, tiny.data())
    assert module.scores == {}


def test_paths_of_weights_are_kept_as_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "none.pth"
    module = ClassMix(3, encoder="resnet18", encoder_weights=path, student_weights=path)
    assert module.hparams["encoder_weights"] == str(path)
    assert module.hparams["student_weights"] == str(path)


@pytest.mark.parametrize("teacher_mode", ["eval", "train"])
def test_frozen_scales_and_shifts_stay_and_the_statistics_move(
    teacher_mode: str,
) -> None:
    options: dict[str, Any] = {
        "lr": 0.1,
        "weight_decay": 0.5,
        "decay_all": True,
        "freeze_norm": True,
        "labeled_only_steps": 1,
        "ramp_steps": 0,
        "teacher_mode": teacher_mode,
    }
    model: Any = ClassMix(3, network=tiny.network(), **options)
    norms = [model.student.network[1], model.teacher.network.network[1]]
    wanted = {name for name, p in model.student.named_parameters() if p.requires_grad}
    assert wanted == {f"network.{i}.{p}" for i in (0, 2) for p in ("weight", "bias")}
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


def test_norms_learn_unless_they_are_frozen() -> None:
    model = module()
    tiny.trainer(max_steps=2).fit(model, tiny.data())
    assert (model.student.network[1].weight != 1).any()


def test_small_images_are_padded_to_be_evaluated_and_the_padding_is_cut_off() -> None:
    network = nn.Conv2d(3, 3, 3, padding=1)  # sees its neighbors
    seen: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    network.register_forward_hook(
        lambda _, given, answer: (
            answer + given[0].shape[-1] * torch.eye(3)[0][:, None, None]
        )
    )
    image, label = torch.randn(1, 3, 5, 6), torch.randint(3, (1, 5, 6))
    model = Supervised(3, network=network, pad_to=(8, 9)).eval()
    whole = functional.pad(image, (0, 3, 0, 3))
    with torch.no_grad():
        expected = model(whole)[..., :5, :6]
        assert not torch.allclose(model(image), expected)
    seen.clear()
    loss = functional.cross_entropy(expected, label).item()
    loader = tiny.loader({"image": image, "label": label})
    for run, key in (("validate", "val_loss"), ("test", "test_loss")):
        found = getattr(tiny.trainer(), run)(model, loader, verbose=False)
        assert found[0][key] == pytest.approx(loss, rel=1e-5)
    batch = {"image": image, "name": ["a"], "size": torch.tensor([[5, 6]])}
    assert model.predict_step(batch, 0)["label"][0].equal(expected[0].argmax(0))
    assert set(seen) == {(8, 9)}


@pytest.mark.parametrize(
    ("size", "given"), [((8, 9), (8, 9)), ((10, 12), (10, 12)), ((10, 6), (10, 9))]
)
def test_larger_images_are_not_padded(
    size: tuple[int, int], given: tuple[int, int]
) -> None:
    seen: list[tuple[int, ...]] = []
    network = nn.Conv2d(3, 3, 1)
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    model = Supervised(3, network=network, pad_to=(8, 9))
    logits = model._logits("student", torch.randn(1, 3, *size))
    assert logits.shape == (1, 3, *size)
    assert seen == [given]


def test_images_are_not_padded_to_train_on() -> None:
    seen: list[tuple[int, ...]] = []
    network = tiny.network()
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    Supervised(3, network=network, pad_to=(16, 16)).training_step(tiny.batch(), 0)
    assert seen == [(8, 8)]


def test_each_window_is_padded_if_it_is_smaller() -> None:
    seen: list[tuple[int, ...]] = []
    network = nn.Conv2d(3, 3, 1)
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    model = Supervised(3, network=network, pad_to=(6, 4), window=(4, 4))
    assert model._logits("student", torch.randn(1, 3, 4, 6)).shape == (1, 3, 4, 6)
    assert seen == [(6, 4)] * 2


def test_new_arguments_are_kept_as_plain_values(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "model": "deeplabv2",
        "encoder": "mobilenet_v2",
        "encoder_weights": None,
        "model_options": {"head_dilations": [6, 24]},
        "decay_all": True,
        "freeze_norm": True,
        "pad_to": (40, 48),
        "consistency": "mean_squared_error",
        "augment": "olsson2021",
        "weighting": "confident_share_per_image",
        "labeled_only_steps": 0,
    }
    model: Any = ClassMix(3, **options)
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    saved = torch.load(tmp_path / "run.ckpt", weights_only=True)["hyper_parameters"]
    assert {name: saved[name] for name in options} == options
    loaded: Any = ClassMix.load_from_checkpoint(tmp_path / "run.ckpt")
    assert loaded.hparams == model.hparams
    assert loaded.student.network.counts == [True, False, False, True]
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())


def test_a_file_of_the_whole_network_reaches_student_and_teacher(
    tmp_path: Path,
) -> None:
    """`resnet18` in place of the paper's encoder; the names are the same."""
    source: Any = build_model("deeplabv2", "resnet18", 3)
    path = tmp_path / "whole.pth"
    head = {
        f"layer5.conv2d_list.{k}": v
        for k, v in source.network.head.state_dict().items()
    }
    torch.save(source.encoder.state_dict() | head, path)
    options: dict[str, Any] = {
        "model": "deeplabv2",
        "encoder": "resnet18",
        "lr": 0.0,
        "weight_decay": 0.0,
        "labeled_only_steps": 0,
    }
    for num_classes in (3, 4):
        model: Any = ClassMix(num_classes, encoder_weights=str(path), **options)
        own = model.student.network.head[0].weight.clone()
        trainer = tiny.trainer(max_steps=1)
        trainer.fit(model, tiny.data())
        theirs = source.network.head[0].weight if num_classes == 3 else own
        for network in (model.student.network, model.teacher.network.network):
            assert torch.equal(network.head[0].weight, theirs)
            assert torch.equal(
                network.encoder.conv1.weight, source.encoder.conv1.weight
            )
        trainer.save_checkpoint(tmp_path / f"{num_classes}.ckpt")
    path.unlink()
    loaded: Any = ClassMix.load_from_checkpoint(tmp_path / "3.ckpt")
    assert torch.equal(
        loaded.student.network.head[0].weight, source.network.head[0].weight
    )
    tiny.trainer(max_steps=2).fit(loaded, tiny.data())
