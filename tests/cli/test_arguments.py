import os
from pathlib import Path

import pytest
import torch
import yaml

from lightning_classmix.cli.arguments import (
    expand_arguments,
    newest_last_checkpoint,
    recipe_path,
)
from lightning_classmix.cli.help import RECIPES


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_recipes_come_first_by_their_paths_then_flags() -> None:
    Path("own.yaml").write_text("{}")
    given = ["--a", "1", "--config=camvid", "--b=2", "-c", "own.yaml"]
    path = str(RECIPES / "camvid.yaml")
    expected = ["--config", path, "--config", "own.yaml", "--a", "1", "--b=2"]
    assert expand_arguments(given) == expected


def test_a_file_of_the_users_wins_over_a_packaged_recipe() -> None:
    assert recipe_path("camvid") == RECIPES / "camvid.yaml"
    Path("camvid").write_text("{}")
    assert recipe_path("camvid") == Path("camvid")


def test_an_unknown_recipe_is_told_with_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match="got 'camvit'; did you mean camvid"):
        recipe_path("camvit")


def test_last_is_the_one_written_last() -> None:
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
        "class_paths": {"model": "package.Supervised", "data": "package.OwnData"},
        "hyper_parameters": {"num_classes": 3, "lr": 0.5, "palette": [(1, 2, 3)]},
        "datamodule_hyper_parameters": {"root": "there", "num_classes": None},
    }
    torch.save(content, name)
    return name


def told(*flags: str) -> dict[str, dict[str, object]]:
    """Return what a checkpoint adds behind the recipes."""
    arguments = expand_arguments([*flags, "--ckpt_path", checkpoint()])
    place = len(arguments) - 1 - arguments[::-1].index("--config")
    added: dict[str, dict[str, object]] = yaml.safe_load(arguments[place + 1])
    return added


def test_a_checkpoint_adds_its_model_and_data_but_what_the_data_tell() -> None:
    assert told() == {
        "model": {
            "class_path": "package.Supervised",
            "init_args": {"num_classes": 3, "lr": 0.5},
        },
        "data": {
            "class_path": "package.OwnData",
            "init_args": {"root": "there", "num_classes": 3},
        },
    }


def test_what_the_flags_name_otherwise_is_not_added() -> None:
    assert "model" not in told("--model", "ClassMix")
    assert "data" not in told("--data=CamVidDataModule")
    assert "model" in told("--model", "own.Supervised")


def test_data_that_the_recipe_names_otherwise_are_not_added() -> None:
    assert set(told("--config", "camvid")) == {"model"}


def test_a_checkpoint_that_a_recipe_names_is_found() -> None:
    Path("own.yaml").write_text(f"ckpt_path: {checkpoint()}")
    assert "package.Supervised" in expand_arguments(["--config", "own.yaml"])[3]


def test_words_of_lightning_and_addresses_are_left_to_it() -> None:
    for word in ("best", "s3://bucket/last.ckpt"):
        assert expand_arguments(["--ckpt_path", word]) == ["--ckpt_path", word]


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"must be a file, got none\.ckpt"):
        expand_arguments(["--ckpt_path", "none.ckpt"])


@pytest.mark.parametrize("content", ["data: [", "- a\n- b"])
def test_a_file_that_is_no_recipe_is_named(content: str) -> None:
    Path("wrong.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"config must .* got wrong\.yaml"):
        expand_arguments(["--config", "wrong.yaml"])
