from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything

from lightning_classmix import ClassMix, Supervised, build_model
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "lr": 0.1}
    return Supervised(tiny.CLASSES, **defaults | options)


@pytest.mark.slow
def test_loading_a_checkpoint_reads_no_pretrained_weights(tmp_path: Path) -> None:
    model = Supervised(
        3, model="unet", encoder="resnet18", encoder_weights=None, lr=0.01
    )
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    checkpoint = torch.load(tmp_path / "run.ckpt", weights_only=True)
    # Published weights would have to be downloaded; loading must not need them.
    checkpoint["hyper_parameters"]["encoder_weights"] = "imagenet"
    torch.save(checkpoint, tmp_path / "run.ckpt")
    loaded = Supervised.load_from_checkpoint(tmp_path / "run.ckpt")
    assert loaded.lr == 0.01
    image = torch.randn(1, 3, 40, 40)
    assert torch.equal(loaded.eval()(image), model.eval()(image))
    tiny.trainer(max_steps=1).fit(loaded, tiny.data())


def test_a_checkpoint_loads_with_a_custom_network(tmp_path: Path) -> None:
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


def test_encoder_weights_are_read_from_a_file_when_the_first_fit_starts(
    tmp_path: Path,
) -> None:
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
    # A second fit starts from the trained weights.
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


def test_errors_name_a_missing_or_incompatible_weight_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"student_weights .* got none\.ckpt"):
        tiny.trainer().fit(module(student_weights="none.ckpt"), tiny.data())
    torch.save({"state_dict": {"student.other": torch.zeros(1)}}, tmp_path / "x.ckpt")
    with pytest.raises(
        ValueError, match=r"student_weights must fit the student, got .*x\.ckpt"
    ):
        tiny.trainer().fit(
            module(student_weights=str(tmp_path / "x.ckpt")), tiny.data()
        )


def test_weight_paths_are_saved_as_strings(tmp_path: Path) -> None:
    path = tmp_path / "none.pth"
    module = ClassMix(3, encoder="resnet18", encoder_weights=path, student_weights=path)
    assert module.hparams["encoder_weights"] == str(path)
    assert module.hparams["student_weights"] == str(path)


def test_hyperparameters_are_saved_as_plain_values(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "model": "deeplabv2",
        "encoder": "mobilenet_v2",
        "encoder_weights": None,
        "model_options": {"head_dilations": [6, 24]},
        "reproduction": {"decay_all": True, "freeze_norm": True, "pad_to": (40, 48)},
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
    assert loaded.student.network.used == [True, False, False, True]
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())


@pytest.mark.slow
def test_a_file_of_a_whole_network_is_loaded_into_student_and_teacher(
    tmp_path: Path,
) -> None:
    # The names of the weights are those of the published DeepLabV2 files.
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
        initial = model.student.network.head[0].weight.clone()
        trainer = tiny.trainer(max_steps=1)
        trainer.fit(model, tiny.data())
        expected = source.network.head[0].weight if num_classes == 3 else initial
        for network in (model.student.network, model.teacher.network.network):
            assert torch.equal(network.head[0].weight, expected)
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
