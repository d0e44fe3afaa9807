import json
from importlib.metadata import version

import pytest
import yaml

from tests.shell import Shell


@pytest.mark.parametrize("name", ["camvid", "street_scenes", "folder"])
def test_packaged_recipes_are_found_by_name(shell: Shell, name: str) -> None:
    root = "" if name == "street_scenes" else "--data.root data"
    status, out, _ = shell(f"fit --config {name} {root} --print_config")
    assert status == 0
    assert yaml.safe_load(out)["model"]["class_path"].endswith("ClassMix")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("fit --help", ["--model.help", "--data.help", "--trainer.max_steps"]),
        ("--help", ["fit", "predict", "demo", "camvid", "--model.help ClassMix"]),
        (
            "fit --model.help ClassMix",
            ["--model.ramp_steps", "--model.encoder", "--model.lr"],
        ),
        ("fit --data.help CamVidDataModule", ["--data.labeled", "--data.crop"]),
        ("fit --data.help FolderDataModule", ["--data.num_classes", "--data.predict"]),
        ("demo --help", ["--seed", "--out"]),
    ],
)
def test_help_names_the_arguments(shell: Shell, command: str, named: list[str]) -> None:
    status, out, _ = shell(command)
    assert status == 0
    assert not [name for name in named if name not in out]
    assert len(out) < 40_000  # no lists of every class that torch has


def test_help_describes_every_argument_of_a_class(shell: Shell) -> None:
    for part, name in (
        ("model", "ClassMix"),
        ("model", "Supervised"),
        ("data", "CamVidDataModule"),
        ("data", "FolderDataModule"),
        ("data", "StreetScenesDataModule"),
    ):
        _, out, _ = shell(f"fit --{part}.help {name}")
        entries = out.partition("Help for")[2].split(f"\n  --{part}.")[1:]
        assert len(entries) > 10
        for entry in entries:
            text = (
                entry.partition("\n")[2]
                if "  " not in entry.partition("\n")[0]
                else entry
            )
            meaning = " ".join(text.split()).partition("(")[0]
            assert len(meaning) > 8, entry


@pytest.mark.parametrize("command", ["fitt", ""])
def test_a_wrong_command_lists_the_commands(shell: Shell, command: str) -> None:
    last = shell.fails(command)
    assert "fit, validate, test, predict, demo" in last


def test_check_accepts_a_recipe_or_a_class_and_returns_its_status(shell: Shell) -> None:
    status, out, _ = shell("check --config recipe.yaml --data.root data --json")
    assert status == 0
    assert json.loads(out)["images"] == {"labeled": 6, "unlabeled": 5, "val": 2}
    (shell.folder / "data/labels/02.png").write_bytes(b"")
    status, out, _ = shell("check --data FolderDataModule --data.root data")
    assert status == 1
    assert "labels/02.png" in out


def test_split_writes_a_list_that_fit_reads(shell: Shell) -> None:
    drawn = "--config recipe.yaml --data.root data"
    status, out, _ = shell(f"split {drawn} --data.labeled 2 --out two.txt")
    assert (status, "2 of 6" in out) == (0, True)
    assert shell(f"fit {drawn} --data.split two.txt")[0] == 0
    (written,) = shell.folder.rglob("split.txt")
    two = (shell.folder / "two.txt").read_text().split()
    assert sorted(two) == written.read_text().split()


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell("--version")[:2] == (0, f"classmix {version('lightning-classmix')}\n")


def test_the_program_has_one_name_however_it_is_started(shell: Shell) -> None:
    class_help = ("fit --model.help ClassMix", "check --data.help FolderDataModule")
    for command in ("--help", "fit --help", "demo --help", "check --help", *class_help):
        status, out, _ = shell(command)
        assert status == 0
        assert out.startswith("usage: classmix ")
        assert " object at 0x" not in out


def test_the_data_of_a_packaged_recipe_are_used_by_data_commands(
    shell: Shell,
) -> None:
    status, out, _ = shell("check --config folder --data.root data --json")
    assert status == 0
    assert json.loads(out)["images"]["labeled"] == 6
    last = shell.fails("compare --config folder --data.root data --labels 2 --steps 1")
    assert "training images" in last


def test_help_of_a_data_class_is_that_of_every_data_command(shell: Shell) -> None:
    for command in ("check", "split", "compare"):
        status, out, _ = shell(f"{command} --data.help FolderDataModule")
        assert status == 0
        assert "--data.root" in out
