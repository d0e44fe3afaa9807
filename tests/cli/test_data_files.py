from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from lightning_classmix import ClassMix, FolderDataModule, PascalVOCDataModule
from lightning_classmix.cli.data_files import look_up_files
from tests.shell import Shell

CALLS = [
    ("pascal_voc", "--data.root nowhere", "root must be a folder, got nowhere"),
    ("cityscapes", "--data.root nowhere", "root must be a folder, got nowhere"),
    ("camvid", "--data.root nowhere", "root must be a folder, got nowhere"),
    ("pascal_voc", "--data.root .", "root must hold VOCdevkit/VOC2012, got none in"),
    ("cityscapes", "--data.root .", "root must hold leftImg8bit/train and gtFine/"),
    ("camvid", "--data.root .", "must be a folder of images"),
    ("pascal_voc_olsson2021", "--data.root .", "root must hold VOCdevkit/VOC2012,"),
    ("cityscapes_olsson2021", "--data.root .", "root must hold leftImg8bit/train"),
]


@pytest.mark.parametrize(("recipe", "root", "message"), CALLS)
def test_a_missing_folder_is_reported_before_a_network_is_built(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    root: str,
    message: str,
) -> None:
    @wraps(ClassMix.__init__)
    def build(*_: Any, **__: Any) -> None:
        pytest.fail("a network was built")

    monkeypatch.setattr(ClassMix, "__init__", build)
    shell = Shell(tmp_path, monkeypatch, capsys)
    assert message in shell.fails(f"fit --config {recipe} {root}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml"]


def test_files_that_are_not_read_are_not_looked_up(tmp_path: Path) -> None:
    root = tmp_path / "no"
    look_up_files(PascalVOCDataModule(root, download=True), "fit")
    data = FolderDataModule(root, predict=tmp_path, num_classes=2)
    look_up_files(data, "predict")
    for command in ("fit", "validate", "test"):
        with pytest.raises(FileNotFoundError, match="root must be a folder"):
            look_up_files(data, command)
    with pytest.raises(FileNotFoundError, match="root must be a folder"):
        look_up_files(FolderDataModule(root, num_classes=2), "predict")
