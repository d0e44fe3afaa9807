from pathlib import Path

import pytest

from lightning_classmix import FolderDataModule
from lightning_classmix.cli.split import split
from lightning_classmix.datasets.image_files import ImageFiles
from tests.images import make_folder


def labeled_names(data: FolderDataModule) -> list[str]:
    assert isinstance(data.labeled, ImageFiles)
    return data.labeled.names()


def test_the_split_holds_the_images_that_fit_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = make_folder(tmp_path / "data"), tmp_path / "deep/split.txt"
    split(FolderDataModule(root, labeled=3, seed=5, batch_size=2), out)
    assert "3 of 6 labeled images" in capsys.readouterr().out
    data = FolderDataModule(root, labeled=3, seed=5, batch_size=2)
    data.setup("fit")
    assert sorted(out.read_text().split()) == labeled_names(data)
    again = FolderDataModule(root, split=out, batch_size=2)
    again.setup("fit")
    assert labeled_names(again) == labeled_names(data)


def test_a_smaller_split_is_the_start_of_a_larger_one(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    split(FolderDataModule(root, labeled=4), tmp_path / "four.txt")
    split(FolderDataModule(root, labeled=2), tmp_path / "two.txt")
    four, two = ((tmp_path / f"{n}.txt").read_text() for n in ("four", "two"))
    assert four.startswith(two)


def test_a_list_of_indices_is_written_as_names(tmp_path: Path) -> None:
    root, out = make_folder(tmp_path / "data"), tmp_path / "names.txt"
    (tmp_path / "indices.txt").write_text("4\n1\n3\n")
    split(FolderDataModule(root, split=tmp_path / "indices.txt", labeled=2), out)
    assert out.read_text() == "04\n01\n"


def test_an_existing_list_is_not_overwritten(tmp_path: Path) -> None:
    root, out = make_folder(tmp_path / "data"), tmp_path / "split.txt"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=r"a new file, got .*split\.txt"):
        split(FolderDataModule(root), out)
    assert out.read_text() == "mine"


def test_a_broken_label_is_an_error_and_writes_no_list(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    (root / "labels/05.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"labels/05\.png"):
        split(FolderDataModule(root, labeled=2, num_classes=3), tmp_path / "two.txt")
    assert not (tmp_path / "two.txt").exists()
