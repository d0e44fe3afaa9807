import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_classmix import FolderDataModule
from lightning_classmix.cli.main import main
from tests.images import make_folder

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.slow
def test_the_lines_on_street_scenes_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (lines,) = (block for block in blocks("python") if "StreetScenes" in block)
    names: dict[str, object] = {}
    exec(lines, names)
    trainer = names["trainer"]
    assert trainer.global_step == 10  # type: ignore[attr-defined]
    assert torch.isfinite(trainer.callback_metrics["val_miou"])  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_lines_on_ones_own_folder_run_on_small_images_and_a_small_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "FOLDER")
    (lines,) = (block for block in blocks("python") if "FolderDataModule" in block)
    for long, short in (
        ("(320, 320)", "(32, 32)"),
        ('"resnet50"', '"resnet18", encoder_weights=None'),
        ("max_steps=4000", "max_steps=2"),
    ):
        assert long in lines
        lines = lines.replace(long, short)
    names: dict[str, object] = {}
    exec(lines, names)
    scores = names["module"].scores  # type: ignore[attr-defined]
    assert torch.isfinite(scores["teacher"]["miou"])


def test_the_recipe_of_the_readme_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (lines,) = (block for block in blocks("yaml") if "transform" in block)
    (tmp_path / "own.yaml").write_text(lines)
    recipe = str(tmp_path / "own.yaml")
    monkeypatch.setattr(
        sys, "argv", ["classmix", "fit", "--config", recipe, "--print_config"]
    )
    with pytest.raises(SystemExit, match="0"):
        main()
    data = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    steps = data["transform"]["init_args"]["transforms"]
    assert [step["class_path"].rpartition(".")[2] for step in steps] == [
        "RandomCrop",
        "HorizontalFlip",
    ]


def test_recipes_that_the_readme_names_exist() -> None:
    recipes = README.parent / "lightning_classmix" / "recipes"
    named = re.findall(r"--config (\w+)", README.read_text())
    assert {"camvid", "folder"} <= set(named)
    files = {path.stem for path in recipes.glob("*.yaml")}
    assert set(named) - {"NAME_OR_FILE"} <= files


def test_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert not [link for link in links if not (README.parent / link).exists()]


def test_the_classes_of_the_readme_are_read(tmp_path: Path) -> None:
    (lines,) = (block for block in blocks("yaml") if "class_names" in block)
    (tmp_path / "classes.yaml").write_text(lines)
    data = FolderDataModule(tmp_path)
    assert data.num_classes == 3
    assert {0: 0, 100: 1, 200: 2, 7: 255}.items() <= data.label_map().items()
