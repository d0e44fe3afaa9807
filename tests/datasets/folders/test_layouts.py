"""Arrangements of images and labels that are recognized from the folder alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.folders.folder_layout import folder_files
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.labels.class_files import find_classes

LISTS: dict[str, Any] = {"train": None, "val": None, "test": None}
PIXELS = np.zeros((4, 4), np.uint8)
pytestmark = pytest.mark.filterwarnings("ignore:nothing is validated")


def make(root: Path, *names: str) -> Path:
    """Write an image or label for each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".jpg", ".png"):
            Image.fromarray(PIXELS).save(path)
        else:
            path.write_text("")
    return root


def pairs(files: ImageFiles | None, root: Path) -> list[str]:
    """Return ``image label`` of each pair, relative to the root."""
    if files is None:
        return []
    labels = files.labels or [Path()] * len(files)
    return [
        f"{image.relative_to(root)} {label.relative_to(root)}"
        if files.labels
        else str(image.relative_to(root))
        for image, label in zip(files.images, labels, strict=True)
    ]


def read(root: Path, **given: str) -> Files:
    files = folder_files(root, LISTS, **given)
    assert not files.faults
    return files


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{}.jpg", "labels/{}.png"),
        ("images/{}.jpg", "masks/{}.png"),
        ("img/{}.jpg", "ann/{}.png"),
        ("img/{}.jpg", "gt/{}.png"),
        ("Images/{}.jpg", "GroundTruth/{}.png"),
        ("images/{}.jpg", "labels/{}_segmentation.png"),
        ("images/{}_sat.jpg", "masks/{}_mask.png"),
        ("images/sub/{}.jpg", "masks/sub/{}-mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}.png", "{}_gt.png"),
        ("{}.jpg", "mask_{}.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("images/{}.jpg", "images/{}_L.png"),
        ("train_images/{}.jpg", "train_masks/{}.png"),
        ("images/train/{}.jpg", "labels/train/{}.png"),
        ("train/images/{}.jpg", "train/masks/{}.png"),
        ("train/{}.jpg", "train/{}_mask.png"),
    ],
)
def test_images_are_paired_with_their_labels(
    image: str, label: str, tmp_path: Path
) -> None:
    for name in ("a1", "a10"):
        make(tmp_path, image.format(name), label.format(name))
    make(tmp_path, image.format("b"), "notes.txt")
    files = read(tmp_path)
    expected = [f"{image} {label}".replace("{}", name) for name in ("a1", "a10")]
    assert sorted(pairs(files.labeled, tmp_path)) == sorted(expected)
    assert pairs(files.unlabeled, tmp_path) == [image.format("b")]
    assert files.val is files.test is None


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}/images/{}.jpg", "{}/masks/{}.png"),
        ("images/{}/{}.jpg", "masks/{}/{}.png"),
        ("{}/{}.jpg", "{}/{}_mask.png"),
        ("{}_images/{}.jpg", "{}_masks/{}.png"),
    ],
)
@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_parts_are_found(image: str, label: str, val: str, tmp_path: Path) -> None:
    for part in ("train", val, "test"):
        make(tmp_path, image.format(part, part[0]), label.format(part, part[0]))
    make(tmp_path, "unlabeled/u.jpg")
    files = read(tmp_path)
    parts = {"train": files.labeled, val: files.val, "test": files.test}
    for part, found in parts.items():
        expected = f"{image} {label}".format(*[part, part[0]] * 2)
        assert pairs(found, tmp_path) == [expected]
    assert pairs(files.unlabeled, tmp_path) == ["unlabeled/u.jpg"]


def test_labels_and_masks_of_other_parts_are_not_trained_on(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a_mask.png", "val/b.jpg", "val/b_mask.png")
    make(tmp_path, "unlabeled/u.jpg")
    files = read(tmp_path)
    assert pairs(files.labeled, tmp_path) == ["a.jpg a_mask.png"]
    assert pairs(files.val, tmp_path) == ["val/b.jpg val/b_mask.png"]


def test_the_arrangement_can_be_given(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg", "drawn/a.png", "photos/b.jpg", "drawn/a_old.png")
    make(tmp_path, "x/c.jpg", "x/c.regions.png", "x/d.jpg")
    files = folder_files(tmp_path, LISTS, image_dir="photos", label_dir="drawn")
    assert pairs(files.labeled, tmp_path) == ["photos/a.jpg drawn/a.png"]
    assert pairs(files.unlabeled, tmp_path) == ["photos/b.jpg"]
    files = folder_files(tmp_path, LISTS, image_dir="x", label_suffix=".regions")
    assert pairs(files.labeled, tmp_path) == ["x/c.jpg x/c.regions.png"]
    assert pairs(files.unlabeled, tmp_path) == ["x/d.jpg"]
    with pytest.raises(FileNotFoundError, match="label_dir must be a folder, got"):
        folder_files(tmp_path, LISTS, image_dir="x", label_dir="y")


def test_the_arguments_reach_the_data_module(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg", "drawn/a_x.png")
    data = FolderDataModule(
        tmp_path, 2, image_dir="photos", label_dir="drawn", label_suffix="_x"
    )
    with pytest.warns(UserWarning, match="nothing is validated"):
        files = data.files
    assert pairs(files.labeled, tmp_path) == ["photos/a.jpg drawn/a_x.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a.jpg", "sub/b.json"],
            r"got 1 \.jpg, sub/ \(1 \.json\); give image_dir and",
        ),
        (["images/a.jpg"], r"got images/ \(1 \.jpg\); give"),
        (["img/a.jpg", "masks/a.png", "gt/a.png"], "got masks, gt; give label_dir"),
        (["a.jpg", "a_mask.png", "a_gt.png"], "got _gt, _mask; give label_suffix"),
        (["images/a.jpg", "labels/a.png", "val/a.jpg"], r"found in .*val, got 1 \.jpg"),
        ([], "got an empty folder; give image_dir"),
    ],
)
def test_the_error_says_what_the_folder_holds(
    names: list[str], message: str, tmp_path: Path
) -> None:
    make(tmp_path, *names)
    with pytest.raises(ValueError, match=message):
        folder_files(tmp_path, LISTS)


def test_a_test_folder_without_labels_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "images/a.jpg", "masks/a.png", "test/b.jpg")
    assert read(tmp_path).test is None


def test_trees_of_pascal_voc_are_read_with_their_lists(tmp_path: Path) -> None:
    for name in "abcd":
        make(tmp_path, f"JPEGImages/{name}.jpg")
    for name in "abc":
        make(tmp_path, f"SegmentationClass/{name}.png")
        make(tmp_path, f"SegmentationObject/{name}.png")
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("a\nb\nc\n")
    (lists / "val.txt").write_text("b\n")
    files = read(tmp_path)
    both = "JPEGImages/{0}.jpg SegmentationClass/{0}.png"
    assert pairs(files.labeled, tmp_path) == [both.format("a"), both.format("c")]
    assert pairs(files.val, tmp_path) == [both.format("b")]
    assert pairs(files.unlabeled, tmp_path) == ["JPEGImages/d.jpg"]


def test_names_and_colors_are_read_from_the_label_map(tmp_path: Path) -> None:
    lines = ["# label:color_rgb:parts:actions", "sky:0,0,0::", "crack:250,50,83::"]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    path, classes = find_classes(tmp_path)
    assert path.name == "labelmap.txt"
    assert classes.class_names == ["sky", "crack"]
    assert classes.palette == [(0, 0, 0), (250, 50, 83)]
    assert classes.label_map == {"#000000": 0, "#fa3253": 1, "#e0e0c0": 255}
    (tmp_path / "labelmap.txt").write_text("sky;0;0;0")
    with pytest.raises(ValueError, match=r"got 'sky;0;0;0' in line 1 of .*labelmap"):
        find_classes(tmp_path)


@pytest.mark.parametrize(
    ("values", "label_map"), [("01", None), ("05", {0: 0, 5: 1, 255: 255})]
)
def test_names_are_read_from_the_file_of_roboflow(
    values: str, label_map: Any, tmp_path: Path
) -> None:
    (tmp_path / "train").mkdir()
    text = f"Pixel Value, Class\n{values[0]}, background\n{values[1]}, crack\n"
    (tmp_path / "train/_classes.csv").write_text(text)
    _, classes = find_classes(tmp_path)
    assert classes.class_names == ["background", "crack"]
    assert classes.label_map == label_map
