import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES
from lightning_classmix.datasets.labels.label_reading import read_label
from tests.images import image_names, make_folder, save_pair, setup_folder


def test_a_folder_becomes_batches(tmp_path: Path) -> None:
    data = setup_folder(make_folder(tmp_path))
    assert [len(part) for part in (data.labeled, data.unlabeled, data.val)] == [6, 5, 2]
    batch, _, _ = next(iter(data.train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 24, 32)
    assert batch["unlabeled"]["image"].dtype == torch.float32
    item = next(iter(data.val_dataloader()))
    assert item["label"].shape == (1, 24, 32)


def test_without_val_every_fifth_pair_is_held_out_and_this_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        data = setup_folder(make_folder(tmp_path, labeled=11, val=0))
    assert image_names(data.val) == ["04.jpg", "09.jpg"]
    assert len(data.labeled) == 9
    assert not {*image_names(data.val)} & {
        *image_names(data.labeled),
        *image_names(data.unlabeled),
    }
    assert "2 of 11 labeled images are held out" in caplog.text


def test_fewer_than_five_pairs_train_without_validation_and_a_warning(
    tmp_path: Path,
) -> None:
    with pytest.warns(UserWarning, match="4 labeled images are too few"):
        data = setup_folder(make_folder(tmp_path, labeled=4, val=0))
    assert data.val is None
    assert len(data.labeled) == 4


def test_without_a_folder_unlabeled_an_image_without_a_label_is_unlabeled(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    for index in range(3):
        save_pair(root / f"images/more{index}.jpg", None)
    data = setup_folder(root)
    assert image_names(data.unlabeled) == ["more0.jpg", "more1.jpg", "more2.jpg"]
    assert len(data.labeled) == 6


def test_with_a_folder_unlabeled_an_image_without_a_label_is_a_fault(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "images/forgotten.jpg", None)
    with pytest.raises(ValueError, match=r"must have a label, got .*forgotten\.jpg"):
        setup_folder(root)


def test_a_label_without_an_image_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    (root / "images/03.jpg").unlink()
    with pytest.raises(ValueError, match=r"must have an image, got .*03\.png"):
        setup_folder(root)


def test_without_unlabeled_images_the_unlabeled_set_is_none(tmp_path: Path) -> None:
    assert setup_folder(make_folder(tmp_path, unlabeled=0)).unlabeled is None


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, unlabeled=0)
    (root / "unlabeled").mkdir()
    with pytest.raises(ValueError, match="unlabeled must hold images"):
        setup_folder(root)
    with pytest.raises(FileNotFoundError, match=r"root must be a folder, .*nowhere"):
        setup_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["", "val/"])
def test_both_files_are_named_when_sizes_differ(tmp_path: Path, part: str) -> None:
    root = make_folder(tmp_path)
    name = "v1" if part else "01"
    Image.new("L", (10, 12), 1).save(root / f"{part}labels/{name}.png")
    with pytest.raises(
        ValueError, match=rf"24 x 32 in .*{name}\.\w+ and 12 x 10 in .*{name}\.png"
    ):
        setup_folder(root)


@pytest.mark.parametrize("part", ["", "val/"])
def test_file_and_values_are_named_when_a_value_has_no_class(
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
        setup_folder(root, num_classes=3)


@pytest.mark.parametrize(
    "file", ["images/02.jpg", "labels/02.png", "val/labels/v0.png"]
)
def test_a_broken_labeled_file_is_named_before_training(
    tmp_path: Path, file: str
) -> None:
    root = make_folder(tmp_path)
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=file.replace(".", r"\.")):
        setup_folder(root)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for name in ("00", "03"):
        (root / f"images/{name}.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"00\.jpg") as error:
        setup_folder(root)
    assert "03.jpg" in str(error.value)


def test_the_first_unlabeled_images_are_read_before_training(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"must be readable, got .*u2\.png"):
        setup_folder(root)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_unlabeled_image_is_named_when_it_is_loaded(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lightning_classmix.datasets.inspection.file_checks.CHECKED_UNLABELED", 2
    )
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    data = setup_folder(root, num_workers=workers, unlabeled_batch_size=5)
    with pytest.raises(ValueError, match=r"must be readable, got .*u2\.png"):
        next(iter(data.train_dataloader()))


@pytest.mark.slow
def test_labels_are_not_read_again_at_every_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def record(path: Path, *options: Any) -> Any:
        read.append(path)
        return read_label(path, *options)

    monkeypatch.setattr("lightning_classmix.datasets.image_files.read_label", record)
    data = setup_folder(make_folder(tmp_path), labeled=3)
    count = len(read)
    data.setup("fit")
    data.setup("validate")
    assert data.num_classes == 3
    assert len(set(read)) == 8
    assert count == len(read) == 8 + 3 + 2  # all to draw, then those in use


def test_resized_images_keep_the_size_of_their_labels_in_validation(
    tmp_path: Path,
) -> None:
    data = setup_folder(make_folder(tmp_path), size=(12, 16))
    batch, _, _ = next(iter(data.train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 12, 16)
    assert batch["labeled"]["label"].shape == (2, 12, 16)
    item = next(iter(data.val_dataloader()))
    assert item["image"].shape == (1, 3, 12, 16)
    assert item["label"].shape == (1, 24, 32)


def test_unlabeled_images_are_predicted_unless_a_folder_is_given(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path / "data")
    save_pair(tmp_path / "new/deep/x.png", None, size=(9, 7))
    assert [
        item["name"][0] for item in setup_folder(root, "predict").predict_dataloader()
    ] == [f"u{index}" for index in range(5)]
    (item,) = setup_folder(
        root, "predict", predict=str(tmp_path / "new")
    ).predict_dataloader()
    assert item["name"] == ["deep/x"]
    assert item["size"].tolist() == [[9, 7]]


def test_a_broken_image_to_predict_is_an_item_with_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    items = list(setup_folder(root, "predict").predict_dataloader())
    assert len(items) == 5
    assert "u2.png" in items[2]["error"][0]
    assert ["error" in item for item in items].count(True) == 1


def test_a_missing_test_set_is_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    with pytest.raises(ValueError, match="there must be images to test, got none"):
        setup_folder(root, "test")


def test_the_test_set_is_read_if_it_exists(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "test/images/t.png", root / "test/labels/t.png")
    assert len(setup_folder(root, "test").test) == 1


def test_a_single_unlabeled_image_is_left_out_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"u0\.png is left out"):
        assert setup_folder(make_folder(tmp_path, unlabeled=1)).unlabeled is None


def test_datasets_that_the_folder_replaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="test"):
        FolderDataModule(make_folder(tmp_path), test=[])


def test_subfolders_are_read(tmp_path: Path) -> None:
    for index, name in enumerate(("a/x", "b/x", "b/c/y")):
        save_pair(
            tmp_path / f"images/{name}.jpg", tmp_path / f"labels/{name}.png", seed=index
        )
        save_pair(tmp_path / f"unlabeled/{name}.png", None)
        val = tmp_path / "val"
        save_pair(val / f"images/{name}.png", val / f"labels/{name}.png")
    data = setup_folder(tmp_path)
    assert data.labeled.names() == ["a/x", "b/c/y", "b/x"]
    raw = read_label(tmp_path / "labels/b/c/y.png").values
    assert np.array_equal(data.labeled[1]["label"], raw)
    assert [len(part) for part in (data.labeled, data.unlabeled, data.val)] == [3] * 3


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_images_of_every_suffix_are_trained_on(tmp_path: Path, suffix: str) -> None:
    root = make_folder(tmp_path)
    for image in (root / "images").iterdir():
        Image.open(image).save(image.with_suffix(suffix.upper()))
        image.unlink()
    batch, _, _ = next(iter(setup_folder(root).train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 24, 32)


def test_a_broken_label_found_while_counting_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_classmix.datasets.inspection.file_checks.CHECKED", 1)
    root = make_folder(tmp_path)
    (root / "val/labels/v1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"val/labels/v1\.png"):
        setup_folder(root)
