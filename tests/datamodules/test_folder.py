import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix import ClassMix, FolderDataModule
from lightning_classmix.datamodules.files import SPLIT_FILE
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES, read_label
from lightning_classmix.datasets.splits import write_split
from tests import tiny
from tests.images import make_folder, save_pair


def made(root: Path, stage: str = "fit", **options: Any) -> Any:
    data = FolderDataModule(
        str(root), **{"crop": None, "batch_size": 2, "num_workers": 0, **options}
    )
    data.setup(stage)
    return data


def names(files: Any) -> list[str]:
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
    assert "2 of 11 labeled images are held out" in caplog.text


def test_fewer_than_five_pairs_train_without_validation_and_it_is_said(
    tmp_path: Path,
) -> None:
    with pytest.warns(UserWarning, match="4 labeled images are too few"):
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


def test_without_unlabeled_images_there_is_no_such_set(tmp_path: Path) -> None:
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
def test_a_broken_labeled_file_is_named_before_training(
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


def test_the_first_unlabeled_images_are_read_before_training(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"must be readable, got .*u2\.png"):
        made(root)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_unlabeled_image_is_named_when_it_is_met(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_classmix.datasets.file_checks.CHECKED_UNLABELED", 2)
    root = make_folder(tmp_path)
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    data = made(root, num_workers=workers, unlabeled_batch_size=5)
    with pytest.raises(ValueError, match=r"must be readable, got .*u2\.png"):
        next(iter(data.train_dataloader()))


@pytest.mark.slow
def test_labels_are_not_read_again_at_every_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def record(path: Path) -> Any:
        read.append(path)
        return read_label(path)

    monkeypatch.setattr("lightning_classmix.datasets.image_files.read_label", record)
    data = made(make_folder(tmp_path), labeled=3)
    count = len(read)
    data.setup("fit")
    data.setup("validate")
    assert data.num_classes == 3
    assert len(set(read)) == 8
    assert count == len(read) == 8 + 3 + 2  # all to draw, then those in use


def test_a_subset_keeps_its_labels_and_the_rest_is_unlabeled(tmp_path: Path) -> None:
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


def test_unlabeled_images_are_predicted_unless_a_folder_is_named(
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


def test_one_unlabeled_image_is_left_out_and_it_is_said(tmp_path: Path) -> None:
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


def rewrite(root: Path, change: Callable[[NDArray[np.uint8]], Any]) -> None:
    """Write every label of a folder anew: what ``change`` makes of its classes."""
    for path in root.rglob("labels/*.png"):
        label = change(np.asarray(Image.open(path)))
        if not isinstance(label, Image.Image):
            label = Image.fromarray(label)
        label.save(path)


def classes_of(root: Path, name: str) -> NDArray[np.uint8]:
    """Return the classes that `make_folder` wrote for a labeled image."""
    fresh = root / "fresh"
    save_pair(fresh / "x.png", fresh / "y.png", seed=int(name))
    return np.asarray(Image.open(fresh / "y.png"))


def with_palette(label: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(label).convert("P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0] + [0] * 759)
    return image


COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 0, 255]], np.uint8)
TABLE = "{'#000000': 0, '#800000': 1, '#0000FF': 2}"
FORMATS: dict[str, tuple[Callable[[NDArray[np.uint8]], Any], str]] = {
    "index": (lambda label: label, ""),
    "palette image": (with_palette, ""),
    "gray RGB": (lambda label: np.dstack([label] * 3), ""),
    "index of 16 bits": (lambda label: label.astype(np.uint16), ""),
    "index with names": (lambda label: label, "[a, b, c]"),
    "index with palette": (
        lambda label: label,
        f"palette: {COLORS[::-1].tolist()}",
    ),
    "RGB by palette": (lambda label: COLORS[label], f"palette: {COLORS.tolist()}"),
    "RGBA by palette": (
        lambda label: np.dstack([COLORS[label], label]),
        f"palette: {COLORS.tolist()}",
    ),
    "RGB by colors": (lambda label: COLORS[label], f"label_map: {TABLE}"),
    "numbers": (lambda label: label * 100 + 7, "label_map: {7: 0, 107: 1, 207: 2}"),
    "gray RGB by numbers": (
        lambda label: np.dstack([label * 100 + 7] * 3),
        "label_map: {7: 0, 107: 1, 207: 2}",
    ),
    "numbers of 16 bits": (
        lambda label: label.astype(np.uint16) * 20000 + 25000,
        "label_map: {25000: 0, 45000: 1, 65000: 2}",
    ),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("labeled", [None, 3])
def test_labels_of_every_kind_become_the_same_classes(
    tmp_path: Path, kind: str, labeled: int | None
) -> None:
    root = make_folder(tmp_path / "data")
    change, told = FORMATS[kind]
    rewrite(root, change)
    if told:
        (root / "classes.yaml").write_text(told)
    data = made(root, labeled=labeled)
    assert data.num_classes == 3
    for files, seed in ((data.labeled, 0), (data.val, 200)):
        for index in range(len(files)):
            number = files.images[index].stem.removeprefix("v")
            expected = classes_of(tmp_path, f"{int(number) + seed}")
            assert np.array_equal(files[index]["label"], expected)


BINARY: dict[str, Callable[[NDArray[np.uint8]], Any]] = {
    "L": lambda mask: mask,
    "RGB": lambda mask: np.dstack([mask] * 3),
    "RGBA": lambda mask: np.dstack([mask] * 4),
    "1": lambda mask: Image.fromarray(mask).convert("1"),
    "P": lambda mask: with_palette(mask),
}


@pytest.mark.parametrize("mode", BINARY)
@pytest.mark.parametrize("num_classes", [None, 2])
def test_masks_become_two_classes(
    tmp_path: Path, mode: str, num_classes: int | None
) -> None:
    root = make_folder(tmp_path / "data")
    rewrite(root, lambda label: BINARY[mode]((label == 1).astype(np.uint8) * 255))
    data = made(root, num_classes=num_classes, labeled=4)
    assert data.num_classes == 2
    for index in range(4):
        expected = classes_of(tmp_path, data.labeled.images[index].stem) == 1
        assert np.array_equal(data.labeled[index]["label"], expected)


def test_names_of_two_classes_do_for_masks(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    (root / "classes.yaml").write_text("[other, road]")
    assert {*np.unique(made(root).labeled[0]["label"]).tolist()} == {0, 1}


def test_one_wrong_mask_among_masks_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    Image.new("L", (32, 24), 3).save(root / "labels/03.png")
    with pytest.raises(ValueError, match=r"values of 0, 255, got 3 .*/03\.png;"):
        made(root)


def test_masks_of_three_classes_hold_void_and_it_is_warned_of(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    for path in (root / "val/labels").iterdir():
        Image.new("L", (32, 24), 2).save(path)
    with pytest.warns(UserWarning, match=r"6 labels with nothing but class 0 and void"):
        label = made(root, num_classes=3).labeled[0]["label"]
    assert np.unique(label).tolist() == [0, 255]


def test_a_label_map_says_otherwise_than_masks(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    data = made(root, label_map={0: 1, 255: 0})
    assert data.num_classes == 2
    raw = read_label(root / "labels/00.png")
    assert np.array_equal(data.labeled[0]["label"], raw == 0)


@pytest.mark.parametrize("labeled", [None, 3])
def test_colors_that_no_table_holds_are_named(
    tmp_path: Path, labeled: int | None
) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: COLORS[label])
    with pytest.raises(
        ValueError, match=r"must have a table, got #0000ff in .*labels/.*classes\.yaml"
    ):
        made(root, labeled=labeled)
    with pytest.raises(
        ValueError,
        match=r"0 to 1, 255, #000000, #800000, got #0000ff \(\d+ pixels\) in",
    ):
        made(root, labeled=labeled, palette=[(0, 0, 0), (128, 0, 0)])


def test_void_and_other_raw_values_may_become_void(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    data = made(root, label_map={0: 0, 1: 255, 2: 1})
    raw = read_label(root / "labels/00.png")
    assert np.array_equal(data.labeled[0]["label"], np.array([0, 255, 1])[raw])
    assert data.num_classes == 2


def test_classes_are_told_by_the_folder_without_a_look_at_labels(
    tmp_path: Path,
) -> None:
    told = "class_names: [a, b]\npalette: [[1, 2, 3], [4, 5, 6]]\n"
    data = FolderDataModule(tmp_path)  # there is nothing in it yet
    (tmp_path / "classes.yaml").write_text(told)
    assert data.class_names == ["a", "b"]
    assert data.palette == [(1, 2, 3), (4, 5, 6)]
    assert data.num_classes == 2
    (tmp_path / "classes.yaml").write_text("label_map: {5: 0, 6: 2, 7: 255}")
    data = FolderDataModule(tmp_path)
    assert (data.class_names, data.palette, data.num_classes) == (None, None, 3)


def test_arguments_win_over_the_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yaml").write_text(
        "{class_names: [a, b, c], label_map: {0: 0, 1: 1, 2: 2}}"
    )
    data = made(root, class_names=["d", "e", "f"], label_map={0: 2, 1: 1, 2: 0})
    assert data.class_names == ["d", "e", "f"]
    raw = read_label(root / "labels/00.png")
    assert np.array_equal(data.labeled[0]["label"], 2 - raw)


def test_arguments_and_folder_must_agree(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yaml").write_text("[a, b, c]")
    with pytest.raises(ValueError, match="names and colors, 3, got 4"):
        made(root, num_classes=4)
    with pytest.raises(
        ValueError, match=r"3 names and 1 colors by arguments and .*classes\.yaml"
    ):
        made(root, palette=[(0, 0, 0)])
    with pytest.raises(ValueError, match=r"classes in \[0, 2\] .*, got 3 for 9"):
        made(root, label_map={9: 3, 8: 2})


@pytest.mark.parametrize("count", [-1, 0, 1, 256])
def test_a_number_of_classes_that_cannot_be_is_told(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=rf"in \[2, 255\], got {count}$"):
        made(make_folder(tmp_path), num_classes=count)


def test_one_name_or_a_table_of_void_is_too_little(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for options in ({"class_names": ["a"]}, {"label_map": {0: 0, 1: 255, 2: 255}}):
        with pytest.raises(ValueError, match=r"num_classes must be .*, got 1$"):
            made(root, **options)
    with pytest.raises(ValueError, match=r"num_classes must be .*, got 0$"):
        made(root, label_map={0: 255, 1: 255, 2: 255})


def test_a_fault_of_files_is_told_where_no_class_can_be_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path, labeled=3, val=0, unlabeled=0)
    for label in (root / "labels").iterdir():
        label.rename(label.with_stem(f"{label.stem}_mask"))
    with (
        pytest.warns(UserWarning, match="0 labeled images are too few"),
        pytest.raises(ValueError, match=r"must have an image, got .*00_mask\.png"),
    ):
        _ = FolderDataModule(root).num_classes


def test_broken_labels_are_told_where_no_class_can_be_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path, labeled=1, val=0)
    (root / "labels/00.png").write_bytes(b"no image")
    with (
        pytest.warns(UserWarning, match="1 labeled images are too few"),
        pytest.raises(ValueError, match=r"must be readable, got .*00\.png"),
    ):
        _ = FolderDataModule(root).num_classes


def test_no_labeled_image_is_told(tmp_path: Path) -> None:
    root = make_folder(tmp_path, val=0)
    (root / "list.csv").write_text("images/00.jpg\nimages/01.jpg\n")
    with (
        pytest.warns(UserWarning, match="0 labeled images are too few"),
        pytest.raises(ValueError, match="got no label; give num_classes or"),
    ):
        made(root, train_list=root / "list.csv")
    for labeled in (None, 0.5):
        with (
            pytest.warns(UserWarning, match="0 labeled images are too few"),
            pytest.raises(ValueError, match="labeled must hold at least 1 image"),
        ):
            made(root, num_classes=3, train_list=root / "list.csv", labeled=labeled)


def test_a_broken_label_is_told_where_labels_are_drawn(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "labels/02.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"must be readable, got .*02\.png"):
        made(root, labeled=2)


def test_folders_within_are_read(tmp_path: Path) -> None:
    for index, name in enumerate(("a/x", "b/x", "b/c/y")):
        save_pair(
            tmp_path / f"images/{name}.jpg", tmp_path / f"labels/{name}.png", seed=index
        )
        save_pair(tmp_path / f"unlabeled/{name}.png", None)
        val = tmp_path / "val"
        save_pair(val / f"images/{name}.png", val / f"labels/{name}.png")
    data = made(tmp_path)
    assert data.labeled.names() == ["a/x", "b/c/y", "b/x"]
    raw = read_label(tmp_path / "labels/b/c/y.png")
    assert np.array_equal(data.labeled[1]["label"], raw)
    assert [len(part) for part in (data.labeled, data.unlabeled, data.val)] == [3] * 3


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_images_of_every_suffix_are_trained_on(tmp_path: Path, suffix: str) -> None:
    root = make_folder(tmp_path)
    for image in (root / "images").iterdir():
        Image.open(image).save(image.with_suffix(suffix.upper()))
        image.unlink()
    batch, _, _ = next(iter(made(root).train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 24, 32)


def test_lists_take_the_place_of_folders(tmp_path: Path) -> None:
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
    data = made(root, **lists)
    data.setup("test")
    assert data.labeled.names() == ["images/00", "images/03"]
    assert names(data.unlabeled) == ["04.jpg", "u1.png"]
    assert data.val.names() == ["images/01"]
    assert data.test.names() == ["held/images/v0"]
    raw = read_label(root / "labels/03.png")
    assert np.array_equal(data.labeled[1]["label"], raw)
    assert data.hparams["train_list"] == str(root / "train.csv")


def test_faults_of_all_lists_and_folders_are_told_at_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "train.csv").write_text("images/00.jpg,labels/00.png\nimages/no.jpg\n")
    (root / "val.csv").write_text("images/01.jpg\n")
    save_pair(root / "test/images/t.png", root / "test/labels/s.png")
    with pytest.raises(ValueError, match="must be there") as error:
        made(root, train_list=root / "train.csv", val_list=root / "val.csv")
    for told in (
        f"got no {root}/images/no.jpg",
        f"in {root}/val.csv must have a label, got {root}/images/01.jpg alone",
        f"got {root}/test/images/t.png without",
        f"got {root}/test/labels/s.png without",
    ):
        assert told in str(error.value)


def test_the_images_of_a_split_are_labeled_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path)
    (root / "split.txt").write_text("04.jpg\nimages/01.jpg labels/01.png\n03\n")
    data = made(root, split=root / "split.txt")
    assert data.labeled.names() == ["01", "03", "04"]
    rest = ["00.jpg", "02.jpg", "05.jpg"]
    assert names(data.unlabeled) == [*rest, *(f"u{index}.png" for index in range(5))]
    assert made(root, split=root / "split.txt", labeled=2).labeled.names() == [
        "01",
        "04",
    ]
    with pytest.raises(ValueError, match=r"labeled must be in \[1, 3\], .* got 4"):
        made(root, split=root / "split.txt", labeled=4)


def test_a_split_is_read_without_a_look_at_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path)
    (root / "split.txt").write_text("04\n01\n")
    monkeypatch.setattr("lightning_classmix.datasets.image_files.read_label", None)
    assert FolderDataModule(root, split=root / "split.txt").choose() == [4, 1]
    assert FolderDataModule(root, 3, labeled=3, split=root / "split.txt").split


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 16 images, in which each of four classes is on one image."""
    root = make_folder(tmp_path_factory.mktemp("rare"), labeled=16, val=1)
    for index, value in ((3, 3), (7, 4), (8, 5), (15, 6)):
        label = np.asarray(Image.open(root / f"labels/{index:02d}.png")).copy()
        label[0, 0] = value
        Image.fromarray(label).save(root / f"labels/{index:02d}.png")
    return root


amounts = st.one_of(st.integers(1, 16), st.floats(0.01, 1))


@settings(max_examples=15, deadline=None)
@given(amounts, amounts, st.integers(0, 99))
def test_drawn_subsets_are_nested_and_cover_every_class(
    rare: Path, one: float, other: float, seed: int
) -> None:
    drawn = [
        FolderDataModule(rare, 7, labeled=labeled, seed=seed).choose()
        for labeled in (one, other)
    ]
    small, large = sorted(drawn, key=len)
    assert large[: len(small)] == small
    for order in drawn:
        assert len(order) < 4 or {3, 7, 8, 15} <= {*order}


def test_the_seed_decides_what_is_drawn(rare: Path) -> None:
    drawn = [
        FolderDataModule(rare, 7, labeled=10, seed=seed).choose() for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert {*drawn[0]} != {*drawn[2]}


def test_the_state_tells_the_split_and_accepts_no_other(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    state = made(root, labeled=3).state_dict()
    assert state["split"] == made(root, labeled=3).labeled.names()
    made(root, labeled=3).load_state_dict(state)
    with pytest.raises(
        ValueError,
        match=r"got 4 for 3, of which 3 are the same \(0\d is not\); give the",
    ):
        made(root, labeled=4).load_state_dict(state)
    (tmp_path / "split.txt").write_text("\n".join(reversed(state["split"])))
    made(root, split=tmp_path / "split.txt").load_state_dict(state)


def test_a_state_is_taken_over_without_a_split_to_compare(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    state = made(root, labeled=3).state_dict()
    made(root, "validate", labeled=2).load_state_dict(state)
    data = made(root, labeled=2)
    data.load_state_dict({"base_seed": 7})  # of a data module that has no split
    assert data.state_dict()["base_seed"] == 7


def fitted(root: Path, run: Path, ckpt_path: Path | None = None, **options: Any) -> Any:
    data = FolderDataModule(
        root, crop=None, batch_size=2, num_workers=0, steps_per_epoch=1, **options
    )
    trainer = tiny.trainer(
        logger=CSVLogger(run, name="", version="one"),
        max_epochs=2 if ckpt_path else 1,
        max_steps=-1,
        log_every_n_steps=1,
        limit_val_batches=0,
    )
    model = ClassMix(tiny.CLASSES, network=tiny.network(norm=False))
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer


def test_a_run_writes_its_split_and_takes_up_no_other(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    trainer = fitted(root, tmp_path / "run", labeled=3)
    split = tmp_path / "run/one" / SPLIT_FILE
    labeled = trainer.datamodule.labeled.names()
    assert split.read_text().splitlines() == labeled
    trainer.save_checkpoint(tmp_path / "run.ckpt")

    with pytest.raises(ValueError, match="got 4 for 3, of which 3 are the same"):
        fitted(root, tmp_path / "other", tmp_path / "run.ckpt", labeled=4)
    for name, options in (("a", {"labeled": 3}), ("b", {"split": split})):
        again = fitted(root, tmp_path / name, tmp_path / "run.ckpt", **options)
        assert again.global_step == 2
        assert again.datamodule.labeled.names() == labeled


def test_names_that_are_no_utf8_are_written_down_and_read_again(
    tmp_path: Path,
) -> None:
    root, name = make_folder(tmp_path / "data"), os.fsdecode(b"caf\xe9")
    (root / "images/02.jpg").rename(root / f"images/{name}.jpg")
    (root / "labels/02.png").rename(root / f"labels/{name}.png")
    data = made(root)
    write_split(tmp_path / "run/split.txt", data.labeled.names())
    again = made(root, split=tmp_path / "run/split.txt")
    assert name in again.labeled.names()
    assert again.labeled.names() == data.labeled.names()


def test_a_broken_label_that_was_met_while_counting_is_told_though_it_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_classmix.datasets.file_checks.CHECKED", 1)
    root = make_folder(tmp_path)
    (root / "val/labels/v1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"val/labels/v1\.png"):
        made(root)


def test_smoothed_masks_are_no_255_classes(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for path in (*(root / "labels").iterdir(), *(root / "val/labels").iterdir()):
        large = Image.new("L", (320, 240))
        large.paste(255, (100, 60, 220, 180))
        small = large.resize((32, 24)).rotate(17, Image.Resampling.BICUBIC)
        small.save(path)
    with pytest.raises(ValueError, match="nearest neighbor, or give num_classes"):
        made(root)


def test_an_image_in_two_lists_is_a_fault(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "train.csv").write_text("images/00.jpg,labels/00.png\nunlabeled/u0.png,\n")
    (root / "val.csv").write_text("images/00.jpg,labels/00.png\n")
    with pytest.raises(ValueError, match=r"trained on or evaluated on, got .*00\.jpg"):
        made(root, train_list="train.csv", val_list="val.csv")


def test_the_number_of_classes_may_stand_in_the_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yml").write_text("num_classes: 5\n")
    assert FolderDataModule(root).num_classes == 5
    (root / "classes.yml").write_text("{num_classes: 5, class_names: [a, b]}\n")
    with pytest.raises(ValueError, match=r"names and colors, 2, got 5 .*classes\.yml"):
        _ = FolderDataModule(root).num_classes
    (root / "classes.yml").write_text("")
    assert FolderDataModule(root).num_classes == 3
