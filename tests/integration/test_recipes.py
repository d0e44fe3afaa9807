"""Recipes of public data sets, run on small data sets with the same layout."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from torch import Tensor

from lightning_classmix.cli.main import main
from lightning_classmix.datasets.splits import named_splits
from tests.images import make_cityscapes, make_voc

RECIPES = Path(__file__).parents[2] / "lightning_classmix/recipes"
SMALL = (
    "--data.split null --data.labeled 4 --data.crop [32,32] --data.num_workers 0"
    " --data.batch_size 2 --data.unlabeled_batch_size 2 --model.encoder resnet18"
    " --model.encoder_weights null --model.labeled_only_steps 1 --model.ramp_steps 0"
    " --trainer.max_steps 2 --trainer.val_check_interval 2 --trainer.accelerator cpu"
    " --trainer.enable_progress_bar false"
)
SHORT = "--trainer.max_steps 2 --trainer.val_check_interval 2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "more", "last_class"),
    [
        ("cityscapes", make_cityscapes, "--model.window [24,24]", "bicycle"),
        ("pascal_voc", make_voc, "", "tvmonitor"),
    ],
)
def test_a_recipe_trains_on_its_data_set(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    make: Callable[[Path], Path],
    more: str,
    last_class: str,
) -> None:
    make(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = f"fit --config {name} --data.root data {SMALL} {more}"
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()
    assert last_class in capsys.readouterr().out
    run = Path("lightning_logs/version_0")
    assert len((run / "split.txt").read_text().splitlines()) == 4
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    (groups,) = [state["param_groups"] for state in saved["optimizer_states"]]
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    options = recipe["model"]["init_args"]
    rates = {options["lr"], options["lr"] * options["encoder_lr_factor"]}
    assert {group["initial_lr"] for group in groups} == rates
    assert {group["momentum"] for group in groups} == {0.9}


@pytest.mark.parametrize("name", ["cityscapes", "pascal_voc"])
def test_the_split_of_a_recipe_is_a_named_split(name: str) -> None:
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert recipe["data"]["init_args"]["split"] in named_splits(name)


PAPER = (
    "--data.split null --data.labeled 4 --data.num_workers 0 --data.batch_size 2"
    " --data.unlabeled_batch_size 2 --trainer.accelerator cpu"
    " --trainer.enable_progress_bar false"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "more"),
    [
        ("cityscapes_olsson2021", make_cityscapes, "--data.size [32,64]"),
        (
            "pascal_voc_olsson2021",
            make_voc,
            "--data.transform null --data.crop [33,33]"
            " --model.reproduction.pad_to [49,49]",
        ),
    ],
)
@pytest.mark.parametrize("run", ["--trainer.fast_dev_run true", SHORT])
def test_a_recipe_of_the_paper_trains_with_its_rates_and_frozen_norms(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], Path],
    more: str,
    run: str,
) -> None:
    make(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = f"fit --config {name} --data.root data {PAPER} {more} {run}"
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()
    if run != SHORT:
        return
    saved = torch.load(
        "lightning_logs/version_0/checkpoints/last.ckpt", weights_only=True
    )
    assert saved["global_step"] == 2
    groups = saved["optimizer_states"][0]["param_groups"]
    # The head has ten times the rate of the paper, the backbone three times; all decay.
    assert [group["initial_lr"] for group in groups] == pytest.approx([7.5e-4, 2.5e-3])
    assert {group["weight_decay"] for group in groups} == {5e-4}
    weights = saved["state_dict"]
    assert torch.equal(
        weights["student.network.encoder.bn1.weight"], torch.ones(64)
    )  # frozen
    assert not torch.equal(
        weights["student.network.encoder.bn1.running_mean"], torch.zeros(64)
    )
    assert saved["hyper_parameters"]["evaluate"] == "student"
    assert saved["callbacks"]["EMATeacher"]["updates"] == 2


def recipe_parts(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *flags: str
) -> tuple[Any, Any]:
    """Return the module and the data module of a recipe, the latter set up to fit."""
    made: list[Any] = []
    monkeypatch.setattr(
        Trainer,
        "fit",
        lambda _, model, datamodule, **__: made.extend((model, datamodule)),
    )
    line = f"fit --config {name} --data.root {folder} {PAPER}"
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split(), *flags])
    monkeypatch.setattr(
        "lightning_classmix.cli.lightning_cli.ClassMixCLI.after_fit", lambda _: None
    )
    main()
    model, data = made
    data.setup("fit")
    return model, data


def network_input(model: Any, image: Tensor) -> Tensor:
    """Return the input of the first convolution of the student for an image."""
    inputs: list[Tensor] = []
    encoder = model.student.encoder
    encoder.conv1.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        encoder.eval()(image)
    return inputs[0]


def test_the_network_input_of_cityscapes_is_that_of_the_authors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cityscapes(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    model, data = recipe_parts("cityscapes_olsson2021", tmp_path / "data", monkeypatch)
    item = next(iter(data.val_dataloader()))
    assert item["image"].shape == (1, 3, 512, 1024)
    assert item["label"].shape == (1, 512, 1024)
    red, green, blue = map(int, data.val[0]["image"][0, 0])
    expected = torch.tensor([blue - 73.158, green - 82.909, red - 72.392])
    pixel = network_input(model, item["image"][..., :32, :32])[0, :, 0, 0]
    torch.testing.assert_close(pixel, expected, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_the_network_input_of_pascal_voc_is_that_of_the_authors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voc(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    model, data = recipe_parts("pascal_voc_olsson2021", tmp_path / "data", monkeypatch)
    batch, _, _ = next(iter(data.train_dataloader()))
    for part in batch.values():
        assert part["image"].shape == (2, 3, 321, 321)
        # The images are small: most of a crop is padding, of the mean color.
        assert (part["image"][..., -1, -1].abs() < 0.5).all()
        assert part["image"][..., 0, 0].abs().max() > 1
    assert (batch["labeled"]["label"][:, -1, -1] == 255).all()
    assert batch["unlabeled"]["valid"].all()
    item = next(iter(data.val_dataloader()))
    assert item["image"].min() >= -123
    assert item["image"].abs().max() > 3  # no division
    red, green, blue = map(int, data.val[0]["image"][0, 0])
    expected = torch.tensor([red - 122.679, green - 116.669, blue - 104.007])
    pixel = network_input(model, item["image"][..., :32, :32])[0, :, 0, 0]
    torch.testing.assert_close(pixel, expected, rtol=0, atol=1e-3)


def test_the_scale_factors_of_pascal_voc_are_those_of_the_authors() -> None:
    recipe = yaml.safe_load((RECIPES / "pascal_voc_olsson2021.yaml").read_text())
    steps = recipe["data"]["init_args"]["transform"]["init_args"]["transforms"]
    scales = [
        1 + step["init_args"]["scale_limit"][0]
        for step in steps[0]["init_args"]["transforms"]
    ]
    assert scales == pytest.approx([n / 10 for n in range(5, 17)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "flags"),
    [
        ("cityscapes_olsson2021", make_cityscapes, 14),
        ("pascal_voc_olsson2021", make_voc, 17),
    ],
)
def test_all_flags_named_in_the_comments_of_a_recipe_can_be_combined(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], Path],
    flags: int,
) -> None:
    text = (RECIPES / f"{name}.yaml").read_text()
    comments = " ".join(line.partition("#")[2] for line in text.splitlines())
    named = re.findall(r"(--(?:data|model)\.[a-z_.]+) ([\w.,\[\]]+\w\]?)", comments)
    named = [pair for pair in named if pair[0] not in ("--data.root",)]
    clean = {flag: value for flag, value in named if flag != "--model.encoder_weights"}
    assert len(clean) == flags
    clean |= {"--data.crop": "[33,33]"}
    make(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = f"fit --config {name} --data.root data {PAPER} --trainer.fast_dev_run true"
    given = [part for pair in clean.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split(), *given])
    main()


@pytest.mark.slow
def test_the_transform_of_pascal_voc_is_restored_when_a_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voc(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = (
        f"fit --config pascal_voc_olsson2021 --data.root data {PAPER} {SHORT}"
        " --model.encoder resnet18 --model.reproduction.pad_to [1,1]"
    )
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()
    again = "fit --ckpt_path last --data.root data --trainer.max_steps 3"
    cpu = " --trainer.accelerator cpu --trainer.enable_progress_bar false"
    monkeypatch.setattr(sys, "argv", ["classmix", *f"{again}{cpu}".split()])
    main()
    configs = [
        yaml.safe_load((Path("lightning_logs") / run / "config.yaml").read_text())
        for run in ("version_0", "version_1")
    ]
    assert configs[1]["data"]["init_args"]["transform"]["transform"]["transforms"]
    saved = torch.load(
        "lightning_logs/version_1/checkpoints/last.ckpt", weights_only=True
    )
    assert saved["global_step"] == 3
    kept = saved["datamodule_hyper_parameters"]["transform"]["transform"]
    assert [step["__class_fullname__"] for step in kept["transforms"]] == [
        "OneOf",
        "PadIfNeeded",
        "RandomCrop",
    ]


def test_split_draws_a_number_of_labels_instead_of_the_recipes_named_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_cityscapes(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = "split --config cityscapes --data.root data --data.labeled 3 --out three.txt"
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()
    assert "3 of" in capsys.readouterr().out
