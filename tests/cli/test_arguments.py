import os
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_classmix.cli.arguments import (
    expand_arguments,
    expand_command_arguments,
    newest_last_checkpoint,
)
from lightning_classmix.cli.help import RECIPES


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_recipes_are_read_in_order_and_flags_follow() -> None:
    Path("own.yaml").write_text("a: 1e-3")
    given = ["--a", "1", "--config=camvid", "--b=2", "-c", "own.yaml"]
    configs, flags = expand_arguments(given)
    assert [config.path for config in configs] == [
        RECIPES / "camvid.yaml",
        Path("own.yaml"),
    ]
    assert configs[1].content == {"a": 0.001}
    assert flags == ["--a", "1", "--b=2"]


def test_data_commands_use_the_data_of_a_recipe_only() -> None:
    configs, flags = expand_command_arguments("check", ["--config", "camvid", "--json"])
    assert [*configs[0].content] == ["data"]
    assert flags == ["--json=true"]


def test_compare_says_that_it_ignores_the_model_of_a_recipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configs, _ = expand_command_arguments("compare", ["--config", "camvid"])
    assert [*configs[0].content] == ["data"]
    assert "not its model; give arguments of the model by --shared" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "--data.help", "--data.help=x"])
def test_help_of_a_data_command_needs_no_data(flag: str) -> None:
    assert expand_command_arguments("check", [flag]).flags == [flag]


def test_last_is_the_newest_checkpoint() -> None:
    for name, time in (("a", 30), ("b/c", 20), ("b", 10)):
        Path(name).mkdir(parents=True, exist_ok=True)
        Path(name, "last.ckpt").touch()
        os.utime(Path(name, "last.ckpt"), (time, time))
    assert newest_last_checkpoint(Path()) == Path("a/last.ckpt")
    assert newest_last_checkpoint(Path("b")) == Path("b/c/last.ckpt")
    with pytest.raises(FileNotFoundError, match=r"no last\.ckpt in .*nowhere"):
        newest_last_checkpoint(Path("nowhere"))


def checkpoint(name: str = "x.ckpt") -> str:
    content = {
        "state_dict": {},
        "base_seed": 0,
        "pytorch-lightning_version": "2.6.0",
        "class_paths": {
            "model": "lightning_classmix.modules.supervised.Supervised",
            "data": "lightning_classmix.datamodules.folder.FolderDataModule",
        },
        "hyper_parameters": {"num_classes": 3, "lr": 0.5, "palette": [(1, 2, 3)]},
        "datamodule_hyper_parameters": {"root": "there", "num_classes": None},
    }
    torch.save(content, name)
    return name


def added(*flags: str) -> dict[str, Any]:
    """Return the settings that a checkpoint adds behind the recipes."""
    config = expand_arguments([*flags, "--ckpt_path", checkpoint()]).configs[-1]
    assert config.path == Path("x.ckpt")
    return config.content


def test_a_checkpoint_adds_its_model_and_data_without_the_linked_arguments() -> None:
    assert added() == {
        "model": {
            "class_path": "lightning_classmix.modules.supervised.Supervised",
            "init_args": {"num_classes": 3, "lr": 0.5},
        },
        "data": {
            "class_path": "lightning_classmix.datamodules.folder.FolderDataModule",
            "init_args": {"root": "there", "num_classes": 3},
        },
    }


def test_a_part_whose_class_the_flags_name_is_not_added() -> None:
    assert "model" not in added("--model", "ClassMix")
    assert "data" not in added("--data=CamVidDataModule")
    assert added("--model", "own.Supervised")["model"]["class_path"] == "own.Supervised"


def test_data_that_the_recipe_names_otherwise_are_not_added() -> None:
    assert set(added("--config", "camvid")) == {"model"}


def test_a_checkpoint_that_a_recipe_names_is_read() -> None:
    Path("own.yaml").write_text(f"ckpt_path: {checkpoint()}")
    configs = expand_arguments(["--config", "own.yaml"]).configs
    assert configs[1].path == Path("x.ckpt")


def test_a_keyword_of_lightning_is_left_to_it() -> None:
    assert expand_arguments(["--ckpt_path", "best"]) == ([], ["--ckpt_path", "best"])


def test_a_checkpoint_at_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="the address http://a/b; download it first"):
        expand_arguments(["--ckpt_path", "http://a/b"])


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"must be a file, got none\.ckpt"):
        expand_arguments(["--ckpt_path", "none.ckpt"])
