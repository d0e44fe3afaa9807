import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.labels.label_map import LabelMap
from tests.images import save_pair


def test_raw_values_become_classes(tmp_path: Path) -> None:
    save_pair(tmp_path / "i.png", tmp_path / "l.png")
    files = ImageFiles([tmp_path / "i.png"], [tmp_path / "l.png"], root=tmp_path)
    raw = files[0]["label"]
    mapped = files.take([0], LabelMap({0: 7, 1: 8, 2: 255}))[0]["label"]
    assert mapped.dtype == np.uint8
    assert np.array_equal(mapped, np.array([7, 8, 255])[raw])


def test_an_item_holds_its_path_in_the_folder(tmp_path: Path) -> None:
    save_pair(tmp_path / "deep/a.b.png", None)
    save_pair(tmp_path / "elsewhere.png", None)
    files = ImageFiles(
        [tmp_path / "deep/a.b.png", tmp_path / "elsewhere.png"], root=tmp_path / "deep"
    )
    assert [files[index]["name"] for index in range(2)] == files.names()
    assert files.names() == ["a.b", f"{tmp_path}/elsewhere".lstrip("/")]


def test_an_item_without_label_has_none(tmp_path: Path) -> None:
    save_pair(tmp_path / "i.png", None)
    files = ImageFiles([tmp_path / "i.png"], root=tmp_path)
    assert sorted(files[0]) == ["image", "name"]
    with pytest.raises(TypeError, match="images must have labels"):
        files.raw_label(0)


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as many as images, got 0 labels for 1"):
        ImageFiles([tmp_path / "i.png"], [], root=tmp_path)


def test_both_files_and_sizes_are_named_when_sizes_differ(tmp_path: Path) -> None:
    save_pair(tmp_path / "i.png", None, size=(5, 7))
    save_pair(tmp_path / "j.png", tmp_path / "l.png", size=(5, 8))
    files = ImageFiles([tmp_path / "i.png"], [tmp_path / "l.png"], root=tmp_path)
    with pytest.raises(ValueError, match=r"5 x 7 in .*i\.png and 5 x 8 in .*l\.png$"):
        files[0]


def test_an_image_rotated_by_exif_unlike_its_label_is_explained(
    tmp_path: Path,
) -> None:
    turned = Image.Exif()
    turned[274] = 6
    Image.new("RGB", (7, 5)).save(tmp_path / "i.jpg", exif=turned)
    Image.new("L", (7, 5)).save(tmp_path / "l.png")
    files = ImageFiles([tmp_path / "i.jpg"], [tmp_path / "l.png"], root=tmp_path)
    with pytest.raises(ValueError, match=r"7 x 5 .* 5 x 7 .* rotated by its EXIF data"):
        files[0]


def test_a_value_without_class_names_the_label(tmp_path: Path) -> None:
    save_pair(tmp_path / "i.png", tmp_path / "l.png")
    files = ImageFiles(
        [tmp_path / "i.png"],
        [tmp_path / "l.png"],
        label_map=LabelMap({0: 0, 1: 1}),
        root=tmp_path,
    )
    with pytest.raises(ValueError, match=r"0 to 1, got 2 .* in .*l\.png"):
        files[0]


def test_some_are_taken_in_order_with_their_labels(tmp_path: Path) -> None:
    for index in range(3):
        save_pair(tmp_path / f"{index}.png", tmp_path / f"l{index}.png", seed=index)
    images = [tmp_path / f"{index}.png" for index in range(3)]
    labels = [tmp_path / f"l{index}.png" for index in range(3)]
    taken = ImageFiles(images, labels, root=tmp_path).take([2, 0])
    assert taken.names() == ["2", "0"]
    assert np.array_equal(taken[0]["label"], np.asarray(Image.open(labels[2])))


def test_files_reach_a_worker_with_their_label_map(tmp_path: Path) -> None:
    save_pair(tmp_path / "i.png", tmp_path / "l.png")
    files = ImageFiles(
        [tmp_path / "i.png"],
        [tmp_path / "l.png"],
        label_map=LabelMap({0: 2, 1: 1, 2: 0}),
        root=tmp_path,
    )
    there = pickle.loads(pickle.dumps(files))
    assert np.array_equal(there[0]["label"], files[0]["label"])
