import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_classmix.datasets.labels.label_reading import read_label
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


@pytest.mark.parametrize(
    "image", ["./images/00.jpg", "labels/../images/00.jpg", "links/00.jpg", "alone.jpg"]
)
def test_an_image_in_two_lists_under_two_spellings_is_a_fault(
    image: str, tmp_path: Path
) -> None:
    root = make_folder(tmp_path)
    (root / "links").symlink_to(root / "images")
    (root / "alone.jpg").symlink_to(root / "images/00.jpg")
    (root / "train.csv").write_text("images/00.jpg,labels/00.png\n")
    (root / "val.csv").write_text(f"{image},labels/00.png\n")
    with pytest.raises(ValueError, match="trained on or evaluated on") as error:
        setup_folder(root, train_list="train.csv", val_list="val.csv")
    assert f"got {root}/images/00.jpg in both, also as {root}/{image}" in str(
        error.value
    )


@pytest.mark.parametrize(
    "image", ["./images/00.jpg", "labels/../images/00.jpg", "links/00.jpg", "alone.jpg"]
)
@pytest.mark.parametrize("label", ["labels/00.png", "labels/01.png", ""])
def test_an_image_in_one_list_under_two_spellings_is_a_fault(
    image: str, label: str, tmp_path: Path
) -> None:
    root = make_folder(tmp_path)
    (root / "links").symlink_to(root / "images")
    (root / "alone.jpg").symlink_to(root / "images/00.jpg")
    (root / "train.csv").write_text(
        f"images/00.jpg,labels/00.png\nimages/01.jpg,labels/01.png\n{image},{label}\n"
    )
    with pytest.raises(ValueError, match="must occur once in") as error:
        setup_folder(root, train_list="train.csv")
    assert str(error.value) == (
        f"an image must occur once in {root}/train.csv, got {root}/images/00.jpg, also"
        f" as {root}/{image}"
    )


def test_an_image_in_one_list_in_two_unicode_forms_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    composed, decomposed = (unicodedata.normalize(f, "é") for f in ("NFC", "NFD"))
    (root / "images/00.jpg").rename(root / f"images/{composed}.jpg")
    rows = [f"images/{name}.jpg,labels/00.png\n" for name in (composed, decomposed)]
    (root / "train.csv").write_text("".join(rows), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"got {root}/images/{composed}\.jpg twice"):
        setup_folder(root, train_list="train.csv")


def test_links_to_an_image_of_the_same_folder_are_one_warning(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        (root / folder / f"copy.{suffix}").symlink_to(f"00.{suffix}")
    with pytest.warns(UserWarning, match="of labeled are files") as caught:
        data = setup_folder(root)
    assert [str(warning.message).partition(";")[0] for warning in caught] == [
        f"1 {folder} of labeled are files that it holds more than once, such as"
        f" {root}/{folder}/copy.{suffix} and {root}/{folder}/00.{suffix}"
        for folder, suffix in (("images", "jpg"), ("labels", "png"))
    ]
    assert len(data.labeled) == 7


def test_a_validation_folder_of_links_to_training_images_is_a_fault(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path, val=0)
    for name in ("images/00.jpg", "labels/00.png"):
        link = root / "val" / name
        link.parent.mkdir(parents=True)
        link.symlink_to(root / name)
    with pytest.raises(ValueError, match=r"got .*images/00\.jpg in both, also as"):
        setup_folder(root)


def test_names_that_differ_in_case_may_be_two_files(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "images/A.png", root / "labels/A.png")
    save_pair(root / "Images/a.png", None)
    (root / "train.csv").write_text(
        "images/A.png,labels/A.png\nimages/00.jpg,labels/00.png\n"
    )
    (root / "val.csv").write_text("Images/a.png,labels/01.png\n")
    data = setup_folder(root, train_list="train.csv", val_list="val.csv")
    assert len(data.val) == 1
