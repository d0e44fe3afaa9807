import os
from pathlib import Path

import numpy as np
import pytest

from lightning_classmix.datasets.folders.name_rules import FolderPair
from lightning_classmix.datasets.folders.pairing import (
    pair_up,
    read_list,
    without_labels,
)
from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import list_images
from lightning_classmix.datasets.labels.label_reading import read_label
from tests.images import save_pair


def paired(root: Path) -> tuple[ImageFiles, list[str]]:
    folder = root / "images"
    return pair_up(list_images(folder), FolderPair(folder, root / "labels"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(
    root: Path, text: str, encoding: str = "utf-8"
) -> tuple[dict[str, str], list[str], list[str]]:
    """Read a list; return labels by image and images alone, told from the root."""
    path = root / "list.csv"
    path.write_bytes(text.encode(encoding))
    pairs, alone, faults = read_list(path, root)
    assert pairs.labels is not None
    images, labels, others = (
        [os.path.relpath(one, root) for one in paths]
        for paths in (pairs.images, pairs.labels, alone.images)
    )
    return dict(zip(images, labels, strict=True)), others, faults


def test_pairs_are_found_by_subfolder_and_stem(tmp_path: Path) -> None:
    save_pair(tmp_path / "images/a/x.jpg", tmp_path / "labels/a/x.png")
    save_pair(tmp_path / "images/y.png", tmp_path / "labels/y.png", seed=1)
    pairs, faults = paired(tmp_path)
    assert faults == []
    assert pairs.names() == ["a/x", "y"]
    expected = read_label(tmp_path / "labels/y.png").values
    assert np.array_equal(pairs[1]["label"], expected)


def test_suffixes_in_capitals_and_dots_in_names_are_accepted(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.b.JPG", "images/a.c.Tiff")
    touch(tmp_path, "labels/a.b.PNG", "labels/a.c.BMP")
    pairs, faults = paired(tmp_path)
    assert faults == []
    assert pairs.names() == ["a.b", "a.c"]
    assert pairs.labels is not None
    assert [path.name for path in pairs.labels] == ["a.b.PNG", "a.c.BMP"]


def test_other_files_beside_labels_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "images/x.png", "labels/x.png", "labels/x.json", "labels/.y.png")
    touch(tmp_path, "labels/.ipynb_checkpoints/x-checkpoint.png", "labels/Thumbs.db")
    pairs, faults = paired(tmp_path)
    assert (pairs.names(), faults) == (["x"], [])


def test_every_pair_at_fault_is_named_and_the_others_are_paired(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "images/alone.jpg", "images/twin.jpg", "images/twin.png")
    touch(tmp_path, "labels/twin.png", "images/lossy.png", "labels/lossy.jpg")
    touch(tmp_path, "labels/orphan.png", "images/double.png", "labels/double.png")
    touch(tmp_path, "labels/double.bmp", "images/good.png", "labels/good.png")
    pairs, faults = paired(tmp_path)
    assert pairs.names() == ["good"]
    images, labels = tmp_path / "images", tmp_path / "labels"
    assert faults == [
        "a label must have the suffix .png, .bmp, .tif, .tiff (lossless), got"
        f" {labels}/lossy.jpg",
        "images must have different names, got"
        f" {images}/twin.jpg and {images}/twin.png",
        "labels must have different names, got"
        f" {labels}/double.bmp and {labels}/double.png",
        f"an image must have a label, got {images}/alone.jpg without"
        f" {labels}/alone.png",
        f"a label must have an image, got {labels}/orphan.png without"
        f" {images}/orphan.*",
    ]


def test_the_same_stem_in_another_folder_is_another_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/a/x.png", "images/b/x.png")
    touch(tmp_path, "labels/a/x.png", "labels/x.png")
    pairs, faults = paired(tmp_path)
    assert pairs.names() == ["a/x"]
    assert [fault.split(",")[0] for fault in faults] == [
        "an image must have a label",
        "a label must have an image",
    ]


def test_a_missing_label_folder_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/x.png")
    with pytest.raises(FileNotFoundError, match="labels must be a folder of images"):
        paired(tmp_path)


@pytest.mark.parametrize("between", [",", " , ", "\t", " ", "  "])
def test_a_list_pairs_images_and_labels(tmp_path: Path, between: str) -> None:
    touch(tmp_path, "a.jpg", "b.JPG", "m/a.png", "m/b.PNG")
    text = f"b.JPG{between}m/b.PNG\na.jpg{between}m/a.png\n"
    assert listed(tmp_path, text) == (
        {"b.JPG": "m/b.PNG", "a.jpg": "m/a.png"},
        [],
        [],
    )


def test_lines_without_a_label_are_unlabeled_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png", "m/a.png")
    text = "a.png,m/a.png\nb.png,\nc.png\n"
    assert listed(tmp_path, text) == ({"a.png": "m/a.png"}, ["b.png", "c.png"], [])


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na.png,m.png\n",
        "Image,Mask,note\r\na.png,m.png,good\r\n",
        "\ufeffimages,labels\na.png,m.png",
        "# made by hand, twice\n\nimage\tlabel\n# b.png,m.png\n\na.png\tm.png\n",
        "\ufeffa.png,m.png\n   \n",
        '"a.png","m.png"\n',
    ],
)
def test_headers_comments_and_byte_order_marks_are_ignored(
    tmp_path: Path, text: str
) -> None:
    touch(tmp_path, "a.png", "m.png", "b.png")
    assert listed(tmp_path, text) == ({"a.png": "m.png"}, [], [])


def test_a_later_line_that_says_image_is_an_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    _, alone, faults = listed(tmp_path, "a.png\nimage\n")
    assert alone == ["a.png"]
    assert faults == [
        f"a file in {tmp_path}/list.csv must exist, got no {tmp_path}/image"
    ]


def test_absolute_paths_stand_for_themselves(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(tmp_path, "other/a.png", "root/m.png", "root/list.csv")
    named, _, faults = listed(root, f"{tmp_path}/other/a.png,m.png\n")
    assert (named, faults) == ({"../other/a.png": "m.png"}, [])


def test_an_image_outside_of_the_root_has_a_name_that_stays_inside(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "other/a.png", "root/list.csv")
    (tmp_path / "root/list.csv").write_text("../other/a.png\n")
    _, alone, faults = read_list(tmp_path / "root/list.csv", tmp_path / "root")
    assert (alone.names(), faults) == (["other/a"], [])


def test_names_may_hold_blanks_and_letters_of_any_kind(tmp_path: Path) -> None:
    names = ["my image.png", "日本 (2).png", "b c d.png"]
    touch(tmp_path, *names, "my label.png")
    text = f"{names[0]},my label.png\n{names[1]}\n{names[2]}\n"
    named, alone, faults = listed(tmp_path, text)
    assert named == {names[0]: "my label.png"}
    assert (alone, faults) == (names[1:], [])


def test_names_that_are_not_utf8_are_found_by_such_a_list(
    tmp_path: Path,
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    touch(tmp_path, name)
    _, alone, faults = listed(tmp_path, "café.png\n", encoding="latin-1")
    assert (alone, faults) == ([name], [])


def test_every_fault_of_a_list_is_reported_and_the_other_lines_are_read(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png", "d.png", "m.png", "m.jpg")
    text = (
        "a.png,m.png\nb.png,m.png\nb.png,m.png\nno.png,m.png\nc.png,none.png\n"
        "d.png,m.jpg\n"
    )
    named, alone, faults = listed(tmp_path, text)
    assert (named, alone) == ({"a.png": "m.png", "b.png": "m.png"}, [])
    told = f"a file in {tmp_path}/list.csv must exist, got no {tmp_path}"
    assert faults[0] == (
        f"an image must occur once in {tmp_path}/list.csv, got b.png 2 times"
    )
    assert faults[1:3] == [f"{told}/no.png", f"{told}/none.png"]
    assert faults[3].endswith(f"(lossless), got {tmp_path}/m.jpg")
    assert len(faults) == 4


def test_missing_files_are_named_in_the_order_of_the_list(tmp_path: Path) -> None:
    text = "".join(f"{index}.png\n" for index in range(30))
    _, _, faults = listed(tmp_path, text)
    assert [fault.rpartition("/")[2] for fault in faults] == text.split()


def test_a_list_that_names_nothing_or_is_missing_is_named(tmp_path: Path) -> None:
    for text in ("", "image,label\n", "# nothing\n\n"):
        with pytest.raises(ValueError, match=r"list\.csv must name images, one on"):
            listed(tmp_path, text)
    with pytest.raises(FileNotFoundError, match=r"must be a file, got .*no\.csv"):
        read_list(tmp_path / "no.csv", tmp_path)


def test_images_that_differ_in_their_suffix_only_are_named(tmp_path: Path) -> None:
    without_labels(
        ImageFiles([tmp_path / "a/x.png", tmp_path / "b/x.png"], root=tmp_path)
    )
    files = ImageFiles([tmp_path / "x.png", tmp_path / "x.jpg"], root=tmp_path)
    with pytest.raises(ValueError, match=r"different names, got .*x\.png and .*x\.jpg"):
        without_labels(files)
