import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_classmix.datasets.label_reading import read_label
from tests.images import image_names, make_folder, save_pair, setup_folder


def test_no_labeled_image_is_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path, val=0)
    (root / "list.csv").write_text("images/00.jpg\nimages/01.jpg\n")
    with (
        pytest.warns(UserWarning, match="0 labeled images are too few"),
        pytest.raises(ValueError, match="got no label; give num_classes or"),
    ):
        setup_folder(root, train_list=root / "list.csv")
    for labeled in (None, 0.5):
        with (
            pytest.warns(UserWarning, match="0 labeled images are too few"),
            pytest.raises(ValueError, match="labeled must hold at least 1 image"),
        ):
            setup_folder(
                root, num_classes=3, train_list=root / "list.csv", labeled=labeled
            )


def test_lists_replace_the_folders(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    shutil.move(root / "val", root / "held")
    (root / "train.csv").write_text(
        "image,label\nimages/00.jpg,labels/00.png\nimages/03.jpg,labels/03.png\n"
        "images/04.jpg,\nunlabeled/u1.png\n"
    )
    (root / "val.txt").write_text("images/01.jpg labels/01.png\n")
    (root / "test.txt").write_text("held/images/v0.png\theld/labels/v0.png\n")
    lists: dict[str, Any] = {
        "train_list": root / "train.csv",
        "val_list": str(root / "val.txt"),
        "test_list": root / "test.txt",
    }
    data = setup_folder(root, **lists)
    data.setup("test")
    assert data.labeled.names() == ["images/00", "images/03"]
    assert image_names(data.unlabeled) == ["04.jpg", "u1.png"]
    assert data.val.names() == ["images/01"]
    assert data.test.names() == ["held/images/v0"]
    raw = read_label(root / "labels/03.png").values
    assert np.array_equal(data.labeled[1]["label"], raw)
    assert data.hparams["train_list"] == str(root / "train.csv")


def test_faults_of_all_lists_and_folders_are_reported_at_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "train.csv").write_text("images/00.jpg,labels/00.png\nimages/no.jpg\n")
    (root / "val.csv").write_text("images/01.jpg\n")
    save_pair(root / "test/images/t.png", root / "test/labels/s.png")
    with pytest.raises(ValueError, match="must exist") as error:
        setup_folder(root, train_list=root / "train.csv", val_list=root / "val.csv")
    for text in (
        f"got no {root}/images/no.jpg",
        f"in {root}/val.csv must have a label, got {root}/images/01.jpg alone",
        f"got {root}/test/images/t.png without",
        f"got {root}/test/labels/s.png without",
    ):
        assert text in str(error.value)


def test_an_image_in_two_lists_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "train.csv").write_text("images/00.jpg,labels/00.png\nunlabeled/u0.png,\n")
    (root / "val.csv").write_text("images/00.jpg,labels/00.png\n")
    with pytest.raises(ValueError, match=r"trained on or evaluated on, got .*00\.jpg"):
        setup_folder(root, train_list="train.csv", val_list="val.csv")
