from pathlib import Path

import pytest
from PIL import Image

from lightning_classmix.datasets.inspection import file_checks
from lightning_classmix.datasets.inspection.file_checks import check_first_files
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.ops import VOID
from tests.images import save_files


def test_all_faults_of_the_first_files_are_reported_in_order(tmp_path: Path) -> None:
    files = save_files(tmp_path, 4)
    check_first_files(files)
    (tmp_path / "images/0.png").write_bytes(b"no image")
    Image.new("L", (3, 3)).save(tmp_path / "labels/1.png")
    Image.new("L", (32, 24), 7).save(tmp_path / "labels/2.png")
    (tmp_path / "labels/3.png").unlink()
    with pytest.raises(ValueError, match="must be readable") as error:
        check_first_files(files)
    lines = str(error.value).splitlines()
    for line, part in zip(
        lines, ("0.png", "same size", "got 7", "labels/3.png"), strict=True
    ):
        assert part in line


def test_files_beyond_the_first_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = save_files(tmp_path)
    (tmp_path / "labels/2.png").unlink()
    monkeypatch.setattr(file_checks, "CHECKED", 2)
    check_first_files(files)
    monkeypatch.setattr(file_checks, "CHECKED", 3)
    with pytest.raises(ValueError, match=r"2\.png"):
        check_first_files(files)


def test_labels_without_a_pixel_of_a_class_are_refused(tmp_path: Path) -> None:
    files = save_files(tmp_path, 3)
    files.label_map = LabelMap({0: 0, 1: 1, 2: 2, 255: VOID})
    for index in range(3):
        Image.new("L", (32, 24), 255).save(tmp_path / f"labels/{index}.png")
        if index < 2:
            check_first_files(files)
    with pytest.raises(ValueError, match=r"void only in 3 files, such as .*0\.png"):
        check_first_files(files)
