from argparse import ArgumentError
from pathlib import Path
from typing import Any

import pytest

from lightning_classmix import Supervised
from tests.images import make_cityscapes
from tests.shell import FIT, RECIPE, Shell


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--model.lrr 3", ["model.lrr is not an argument of ClassMix", "lr"]),
        ("--model.lr abc", ["model.lr must be float", "abc"]),
        ("--model.mixer clasmix", ["model.mixer", "did you mean classmix"]),
        ("--model ClasMix", ["model must name a class", "did you mean ClassMix"]),
        ("--model.encoder resnet55 --model.network null", ["encoder", "resnet50"]),
        ("--model.lr -1", ["lr must be at least 0, got -1.0"]),
        ("--data FolderData", ["data must name", "FolderDataModule"]),
        ("--data.rot x", ["data.rot is not an argument", "root"]),
        ("--data.root nowhere", ["root must be a folder, got nowhere"]),
        ("--trainer.max_stepz 3", ["trainer.max_stepz", "trainer.max_steps"]),
        ("--trainer.accelerator tpuu", ["tpuu"]),
        ("--trainer.max_step 3", ["trainer.max_step is not", "trainer.max_steps"]),
        ("--trainer.callbacks.monitr x", ["of ModelCheckpoint", "mean monitor?"]),
        ("--trainer.logger CSVLoger", ["trainer.logger must", "mean CSVLogger"]),
        ("--trainer.logger.x 3", ["trainer.logger.x must be", "Logger", "got 3"]),
        ("--model.lr", ["model must have a value, got none"]),
        ("--modle.lr 3", ["modle.lr is not an argument", "model"]),
        ("--data.num_workers -1", ["num_workers must be at least 0, got -1"]),
        ("--data.jitter 3", ["jitter must be in [0, 1], got 3"]),
        ("--config camvit", ["config must be a file or one of", "mean camvid?"]),
        ("--ckpt_path nowhere.ckpt", ["ckpt_path must be a file", "nowhere.ckpt"]),
        ("--model.encoder_weights a/b.pth --model.network null", ["a/b.pth"]),
    ],
)
def test_a_wrong_flag_is_named_with_similar_names(
    shell: Shell, flags: str, expected: list[str]
) -> None:
    last = shell.fails(f"{FIT} {flags}")
    assert not [part for part in expected if part not in last], last


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("model", {"init_args": {"lrr": 1}}, ["model.lrr", "did you mean lr"]),
        ("model", {"init_arg": {"lr": 1}}, ["init_arg", "init_args"]),
        ("model", {"class_path": "Supervized"}, ["model", "Supervised"]),
        ("data", {"init_args": {"siz": 3}}, ["data.siz", "size"]),
        ("trainer", {"max_stepz": 3}, ["trainer.max_stepz", "trainer.max_steps"]),
        ("trainer", {"callbacks": [{"class_path": "EarlyStoping"}]}, ["EarlyStopping"]),
        ("modell", {"class_path": "ClassMix"}, ["modell", "model"]),
        ("seed_everythin", 3, ["seed_everythin", "seed_everything"]),
    ],
)
def test_a_wrong_key_of_a_recipe_is_named_with_similar_names_and_the_file(
    shell: Shell,
    part: str,
    change: Any,
    expected: list[str],
) -> None:
    if part in ("model", "data"):
        change = {"class_path": RECIPE[part]["class_path"]} | change
    shell.write("wrong.yaml", RECIPE | {part: change})
    last = shell.fails("fit --config wrong.yaml --data.root data")
    assert "error: wrong.yaml: " in last
    assert not [name for name in expected if name not in last], last


def test_a_recipe_that_is_not_yaml_is_named(shell: Shell) -> None:
    Path("wrong.yaml").write_text("data: [")
    assert "wrong.yaml" in shell.fails("fit --config wrong.yaml")


def test_a_wrong_flag_of_the_demo_is_named(shell: Shell) -> None:
    last = shell.fails("demo --sed 3")
    assert "sed is not an argument; did you mean seed" in last


def test_a_missing_argument_is_named(shell: Shell) -> None:
    assert "data.root must be given" in shell.fails("fit --data FolderDataModule")
    assert "data must be given" in shell.fails("fit")


def test_a_fault_in_the_code_keeps_its_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        int("no number")

    monkeypatch.setattr(Supervised, "configure_optimizers", fault)
    with pytest.raises(ValueError, match="invalid literal"):
        shell(FIT)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_unlabeled_image_is_named_during_training(
    shell: Shell, workers: int
) -> None:
    Path("data/unlabeled/u2.png").write_bytes(b"no image")
    last = shell.fails(f"{FIT} --data.num_workers {workers}")
    assert "an image must be readable, got data/unlabeled/u2.png" in last


def test_errors_of_data_commands_are_one_line(shell: Shell) -> None:
    status, _, err = shell("check --config recipe.yaml --data.root nowhere")
    assert status == 1
    assert err.splitlines()[-1] == (
        "classmix: error: root must be a folder, got nowhere"
    )
    status, _, err = shell("split --data FoldrDataModule --data.root data")
    assert status == 2
    assert "did you mean FolderDataModule" in err


def test_a_data_command_without_data_is_refused(shell: Shell) -> None:
    assert "such as --config folder" in shell.fails("check --json")


def test_data_that_a_command_cannot_use_are_named(shell: Shell) -> None:
    last = shell.fails("split --config street_scenes")
    assert "data must name a class that this command accepts" in last
    assert "got StreetScenesDataModule" in last


def test_options_of_a_recipe_that_another_encoder_lacks_are_named(
    shell: Shell,
) -> None:
    make_cityscapes(shell.folder / "cities")
    flags = "--data.root cities --model.encoder resnet50"
    last = shell.fails(f"fit --config cityscapes_olsson2021 {flags}")
    assert "got 'channel_order'; null removes those of a recipe" in last


@pytest.mark.parametrize(
    "line",
    [
        "fit --config recipe.yaml --data.root data --model.lrr 3",  # in the parser
        "fit --config recipe.yaml --data.root nowhere",
        "check --config recipe.yaml --data.root data --jsn",
        "check --config recipe.yaml --data.root nowhere",
    ],
)
def test_the_traceback_of_an_error_is_shown_on_request(shell: Shell, line: str) -> None:
    assert "Traceback" not in shell.fails(line)
    shell.monkeypatch.setenv("CLASSMIX_TRACEBACK", "1")
    with pytest.raises((ValueError, TypeError, OSError, ArgumentError)):
        shell(line)
