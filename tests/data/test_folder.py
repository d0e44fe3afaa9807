import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.data.files import read_label
from tests.images import make_folder, save_pair


def made(root: Path, stage: str = "fit", **options: Any) -> Any:  # noqa: ANN401
    data = FolderDataModule(
        str(root), **{"crop": None, "batch_size": 2, "num_workers": 0, **options}
    )
    data.setup(stage)
    return data


def names(files: Any) -> list[str]:  # noqa: ANN401
    return [path.name for path in files.images]


def test_a_folder_becomes_batches(tmp_path: Path) -> None:
    data = made(make_folder(tmp_path))
    assert [len(part) for part in (data.labeled, data.unlabeled, data.val)] == [6, 5, 2]
    batch, _, _ = next(iter(data.train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 24, 32)
    assert batch["unlabeled"]["image"].dtype == torch.float32
    item = next(iter(data.val_dataloader()))
    assert item["label"].shape == (1, 24, 32)


def test_classes_are_counted_and_the_count_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = FolderDataModule(str(make_folder(tmp_path)))
    with caplog.at_level(logging.INFO):
        assert data.num_classes == 3
    assert "num_classes is 3" in caplog.text
    assert FolderDataModule(str(tmp_path), num_classes=9).num_classes == 9


def test_void_is_not_counted_as_a_class(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    Image.new("L", (32, 24), 255).save(root / "labels/00.png")
    assert FolderDataModule(str(root)).num_classes == 3


def test_masks_of_0_and_255_are_two_classes_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(tmp_path, labeled=2, val=1)
    values = np.zeros((24, 32), np.uint8)
    values[:5] = 255
    for label in ("labels/00.png", "labels/01.png", "val/labels/v0.png"):
        Image.fromarray(values).save(root / label)
    with caplog.at_level(logging.INFO):
        data = made(root)
    assert data.num_classes == 2
    assert "0 and 255 in most labels" in caplog.text
    assert data.labeled[0]["label"][4:6, 0].tolist() == [1, 0]


def test_without_val_every_fifth_pair_is_held_out_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        data = made(make_folder(tmp_path, labeled=11, val=0))
    assert names(data.val) == ["04.jpg", "09.jpg"]
    assert len(data.labeled) == 9
    assert not {*names(data.val)} & {*names(data.labeled), *names(data.unlabeled)}
    assert "2 of 11 labelled images are held out" in caplog.text


def test_fewer_than_five_pairs_train_without_validation_and_it_is_said(
    tmp_path: Path,
) -> None:
    with pytest.warns(UserWarning, match="4 labelled images are too few"):
        data = made(make_folder(tmp_path, labeled=4, val=0))
    assert data.val is None
    assert len(data.labeled) == 4


def test_without_unlabeled_an_image_without_a_label_is_one(tmp_path: Path) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    for index in range(3):
        save_pair(root / f"images/more{index}.jpg", None)
    data = made(root)
    assert names(data.unlabeled) == ["more0.jpg", "more1.jpg", "more2.jpg"]
    assert len(data.labeled) == 6


def test_beside_unlabeled_an_image_without_a_label_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "images/forgotten.jpg", None)
    with pytest.raises(ValueError, match=r"must have a label, got .*forgotten\.jpg"):
        made(root)


def test_a_label_without_an_image_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    (root / "images/03.jpg").unlink()
    with pytest.raises(ValueError, match=r"must have an image, got .*03\.png"):
        made(root)


def test_without_unlabelled_images_there_is_no_such_set(tmp_path: Path) -> None:
    assert made(make_folder(tmp_path, unlabeled=0)).unlabeled is None


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    (root / "unlabeled").mkdir()
    with pytest.raises(ValueError, match="unlabeled must hold images"):
        made(root)
    with pytest.raises(FileNotFoundError, match=r"root must be a folder, .*nowhere"):
        made(tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["", "val/"])
def test_both_files_are_named_when_sizes_differ(tmp_path: Path, part: str) -> None:
    root = make_folder(tmp_path)
    name = "v1" if part else "01"
    Image.new("L", (10, 12), 1).save(root / f"{part}labels/{name}.png")
    with pytest.raises(
        ValueError, match=rf"24 x 32 in .*{name}\.\w+ and 12 x 10 in .*{name}\.png"
    ):
        made(root)


@pytest.mark.parametrize("part", ["", "val/"])
def test_file_and_values_are_named_when_values_are_no_classes(
    tmp_path: Path, part: str
) -> None:
    root = make_folder(tmp_path)
    name = "v1" if part else "01"
    values = np.zeros((24, 32), np.uint8)
    values[0, :2] = 7, 9
    Image.fromarray(values).save(root / f"{part}labels/{name}.png")
    with pytest.raises(
        ValueError, match=rf"0 to 2, 255, got 7 .1 .*, 9 .1 .* in .*{name}\.png"
    ):
        made(root, num_classes=3)


@pytest.mark.parametrize(
    "file", ["images/02.jpg", "labels/02.png", "val/labels/v0.png"]
)
def test_a_broken_labelled_file_is_named_before_training(
    tmp_path: Path, file: str
) -> None:
    root = make_folder(tmp_path)
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=file.replace(".", r"\.")):
        made(root)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for name in ("00", "03"):
        (root / f"images/{name}.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"00\.jpg") as error:
        made(root)
    assert "03.jpg" in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_unlabelled_image_is_named_when_it_is_met(
    tmp_path: Path, workers: int
) -> None:
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    data = made(root, num_workers=workers, unlabeled_batch_size=5)
    with pytest.raises(ValueError, match=r"must be readable, got .*u2\.png"):
        next(iter(data.train_dataloader()))


def test_labels_are_not_read_again_at_every_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def record(path: Path) -> Any:  # noqa: ANN401
        read.append(path)
        return read_label(path)

    monkeypatch.setattr("lightning_classmix.data.image_files.read_label", record)
    data = made(make_folder(tmp_path), labeled=3)
    count = len(read)
    data.setup("fit")
    data.setup("validate")
    assert data.num_classes == 3
    assert len(set(read)) == 8
    assert count == len(read) == 8 + 3 + 2  # all to draw, then those in use


def test_a_subset_keeps_its_labels_and_the_rest_is_unlabelled(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    data = made(root, labeled=2)
    assert len(data.labeled) == 2
    assert len(data.unlabeled) == 9
    assert not {*data.labeled.images} & {*data.unlabeled.images}
    assert {*names(data.labeled)} <= {*names(made(root, labeled=4).labeled)}


def test_resized_images_keep_the_size_of_their_labels_in_validation(
    tmp_path: Path,
) -> None:
    data = made(make_folder(tmp_path), size=(12, 16))
    batch, _, _ = next(iter(data.train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 12, 16)
    assert batch["labeled"]["label"].shape == (2, 12, 16)
    item = next(iter(data.val_dataloader()))
    assert item["image"].shape == (1, 3, 12, 16)
    assert item["label"].shape == (1, 24, 32)


def test_unlabelled_images_are_predicted_unless_a_folder_is_named(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path / "data")
    save_pair(tmp_path / "new/deep/x.png", None, size=(9, 7))
    assert [item["name"][0] for item in made(root, "predict").predict_dataloader()] == [
        f"u{index}" for index in range(5)
    ]
    (item,) = made(root, "predict", predict=str(tmp_path / "new")).predict_dataloader()
    assert item["name"] == ["deep/x"]
    assert item["size"].tolist() == [[9, 7]]


def test_a_broken_image_to_predict_comes_as_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    items = list(made(root, "predict").predict_dataloader())
    assert len(items) == 5
    assert "u2.png" in items[2]["error"][0]
    assert ["error" in item for item in items].count(True) == 1


def test_nothing_to_evaluate_is_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    with pytest.raises(ValueError, match="there must be images to test, got none"):
        made(root, "test")


def test_test_images_are_read_if_there_are_any(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "test/images/t.png", root / "test/labels/t.png")
    assert len(made(root, "test").test) == 1


@pytest.mark.parametrize("val", [0, 2])
def test_a_class_that_is_only_in_validation_counts(tmp_path: Path, val: int) -> None:
    root = make_folder(tmp_path, labeled=6, val=val)
    label = root / ("val/labels/v1.png" if val else "labels/04.png")
    values = np.asarray(Image.open(label)).copy()
    values[0, 0] = 3
    Image.fromarray(values).save(label)
    assert made(root).num_classes == 4


def test_one_unlabelled_image_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"u0\.png is left out"):
        assert made(make_folder(tmp_path, unlabeled=1)).unlabeled is None


def test_two_images_to_predict_of_one_name_are_told(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "unlabeled/u0.jpg", None)
    with pytest.raises(ValueError, match=r"u0\.jpg and .*u0\.png"):
        made(root, "predict")


def test_arguments_are_kept_as_plain_values(tmp_path: Path) -> None:
    data = FolderDataModule(make_folder(tmp_path), predict=tmp_path, batch_size=2)
    assert data.hparams["root"] == data.hparams["predict"] == str(tmp_path)
    assert data.hparams["batch_size"] == 2
    assert "transform" not in data.hparams
