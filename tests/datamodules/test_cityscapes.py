import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import CityscapesDataModule, ops
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.splits import published_split, training_names
from tests.images import CITY_IMAGES, make_cityscapes, save_pair

# labels.py of cityscapesscripts: the ids that have a trainId, in their order.
TRAINED = [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
FIRST = "aachen/aachen_000001_000019"
LABEL = f"gtFine/train/{FIRST}_gtFine_labelIds.png"
IMAGE = f"leftImg8bit/train/{FIRST}_leftImg8bit.png"


def unread(root: Path, labeled: Any = None, **options: Any) -> Any:
    options = {"batch_size": 2, "num_workers": 0, "crop": (16, 16), **options}
    return CityscapesDataModule(str(root), labeled=labeled, **options)


def made(root: Path, labeled: Any = None, **options: Any) -> Any:
    data = unread(root, labeled, **options)
    data.prepare_data()
    data.setup("fit")
    return data


def save_label(path: Path, values: list[int]) -> None:
    """Write a label whose first pixels are ``values``, and the others the first one."""
    label = np.full(24 * 32, values[0], np.uint8)
    label[: len(values)] = values
    Image.fromarray(label.reshape(24, 32)).save(path)


def names(files: ImageFiles) -> list[str]:
    """Return the names without the cities and endings."""
    return [Path(name).name.removesuffix("_leftImg8bit") for name in files.names()]


def test_the_layout_is_read_and_sorted_whatever_the_disk_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir
    backwards = lambda path: sorted(listdir(path), reverse=True)  # noqa: E731
    monkeypatch.setattr(os, "listdir", backwards)
    data = made(make_cityscapes(tmp_path))
    assert data.labeled.name(0) == f"{FIRST}_leftImg8bit"
    assert names(data.labeled) == sorted(CITY_IMAGES)
    assert names(data.val) == ["lindau_000000_000019", "lindau_000001_000019"]
    assert data.unlabeled is None
    for image, label in zip(data.labeled.images, data.labeled.labels, strict=True):
        assert label.name.startswith(image.name.partition("_left")[0])


def test_each_of_34_ids_is_its_class_or_void(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    save_label(tmp_path / LABEL, [*range(34), 255])
    label = made(tmp_path).labeled[0]["label"].ravel()[:35]
    expected = [TRAINED.index(i) if i in TRAINED else ops.VOID for i in range(34)]
    assert label.tolist() == [*expected, ops.VOID]


def test_train_ids_are_the_classes_as_they_are(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    path = tmp_path / LABEL.replace("labelIds", "labelTrainIds")
    save_label(path, [*range(19), 255])
    label = made(tmp_path, labels="labelTrainIds").labeled[0]["label"].ravel()[:20]
    assert label.tolist() == [*range(19), ops.VOID]


def test_both_kinds_of_labels_say_the_same(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    one, other = made(tmp_path), made(tmp_path, labels="labelTrainIds")
    for part, count in (("labeled", 8), ("val", 2)):
        for index in range(count):
            label = getattr(one, part)[index]["label"]
            assert np.array_equal(label, getattr(other, part)[index]["label"])
            assert {*np.unique(label)} <= {0, 1, 2, 10, 13, ops.VOID}


@pytest.mark.parametrize(("labels", "value"), [("labelIds", 34), ("labelTrainIds", 19)])
def test_other_values_are_refused(tmp_path: Path, labels: str, value: int) -> None:
    make_cityscapes(tmp_path)
    save_label(tmp_path / LABEL.replace("labelIds", labels), [value])
    with pytest.raises(ValueError, match=rf"got {value} .768 .* in .*_{labels}\.png"):
        made(tmp_path, labels=labels)


def test_there_are_nineteen_classes_with_names_and_colors() -> None:
    data = unread(Path("unread"))
    assert data.num_classes == len(data.class_names) == len(data.palette) == 19
    told = dict(zip(data.class_names, data.palette, strict=True))
    assert data.class_names[0] == "road"
    assert told["car"] == (0, 0, 142)
    assert list(told.items())[-1] == ("bicycle", (119, 11, 32))


def test_a_named_split_is_taken_by_its_names(tmp_path: Path) -> None:
    listed = published_split("cityscapes", "unimatch/1_30")
    others = [name for name in training_names("cityscapes") if name not in listed][
        ::800
    ]
    make_cityscapes(tmp_path, train=[*others, *listed], size=(4, 4))
    data = made(tmp_path, split="unimatch/1_30")
    assert {*names(data.labeled)} == {*listed}
    assert len(data.labeled) == 100
    assert len(data.unlabeled) == len(others)
    few = made(tmp_path, 7, split="unimatch/1_30")
    assert {*names(few.labeled)} == {*listed[:7]}


def test_a_permutation_counts_in_the_sorted_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = Path("unread")
    data = unread(root, 3, split="olsson2021/0")
    known = training_names("cityscapes")
    images = [f"{n.partition('_')[0]}/{n}_leftImg8bit.png" for n in known]
    pool = ImageFiles([root / image for image in images], root=root)
    monkeypatch.setattr(type(data), "listed", Files(pool))
    chosen = [known[index] for index in data.choose()]
    assert chosen[0] == "monchengladbach_000000_035364"
    assert chosen == published_split("cityscapes", "olsson2021/0")[:3]


def test_a_split_of_images_that_are_not_there_is_refused(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    with pytest.raises(ValueError, match=r"got \d+ others in unimatch/1_30"):
        made(tmp_path, split="unimatch/1_30")


@pytest.mark.parametrize(("labeled", "count"), [(3, 3), (0.5, 4), (1.0, 8)])
def test_counts_and_shares_are_of_the_training_images(
    tmp_path: Path, labeled: float, count: int
) -> None:
    data = made(make_cityscapes(tmp_path), labeled)
    assert len(data.labeled) == count
    unlabeled = data.unlabeled.images if data.unlabeled else ()
    assert len(unlabeled) == 8 - count
    assert {*data.labeled.images, *unlabeled} == {
        tmp_path / f"leftImg8bit/train/{n.partition('_')[0]}/{n}_leftImg8bit.png"
        for n in CITY_IMAGES
    }


def test_images_of_train_extra_are_unlabeled(tmp_path: Path) -> None:
    make_cityscapes(tmp_path, train_extra=3)
    assert made(tmp_path).unlabeled is None
    data = made(tmp_path, 6, train_extra=True)
    assert [len(part) for part in (data.labeled, data.unlabeled)] == [6, 5]
    extra = [path for path in data.unlabeled.images if "train_extra" in path.parts]
    assert len(extra) == 3
    assert len(made(tmp_path, train_extra=True).unlabeled) == 3


def test_missing_train_extra_is_an_error(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    with pytest.raises(FileNotFoundError, match="train_extra must be a folder"):
        made(tmp_path, train_extra=True)


def test_train_extra_or_val_is_predicted(tmp_path: Path) -> None:
    make_cityscapes(tmp_path, train_extra=3)
    for train_extra, count in ((True, 3), (False, 2)):
        data = unread(tmp_path, train_extra=train_extra)
        data.setup("predict")
        assert len(data.predict) == count


def test_there_is_no_test_set(tmp_path: Path) -> None:
    data = unread(make_cityscapes(tmp_path))
    with pytest.raises(ValueError, match="there must be images to test"):
        data.setup("test")


def test_files_without_partner_are_faults(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    (tmp_path / LABEL).unlink()
    alone = tmp_path / "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"
    image = "leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png"
    (tmp_path / image).unlink()
    no_label, no_image = unread(tmp_path).listed.faults
    assert no_label == (
        f"an image must have a label, got {tmp_path / IMAGE} without {tmp_path / LABEL}"
    )
    assert no_image == (
        f"a label must have an image, got {alone} without {tmp_path / image}"
    )
    with pytest.raises(ValueError, match=r"must have a label.*\n.*must have an image"):
        made(tmp_path)


def test_a_city_without_labels_is_a_fault_for_each_image(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    shutil.rmtree(tmp_path / "gtFine/train/aachen")
    assert len(unread(tmp_path).listed.faults) == 3


def test_images_with_equal_names_are_a_fault(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    save_pair((tmp_path / IMAGE).with_suffix(".jpg"), None)
    (fault,) = unread(tmp_path).listed.faults
    assert "images must have different names" in fault
    assert ".jpg and" in fault


@pytest.mark.parametrize("name", [".DS_Store", "._a_leftImg8bit.png", "notes.txt"])
def test_files_that_are_not_images_are_ignored(tmp_path: Path, name: str) -> None:
    make_cityscapes(tmp_path)
    (tmp_path / IMAGE).with_name(name).write_text("")
    hidden = name.replace("leftImg8bit", "gtFine_labelIds")
    (tmp_path / LABEL).with_name(hidden).write_text("")
    assert len(made(tmp_path).labeled) == 8


def test_a_file_among_the_cities_is_named(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    (tmp_path / "leftImg8bit/train/.DS_Store").write_text("")
    with pytest.raises(ValueError, match=r"train must hold folders .*\.DS_Store"):
        made(tmp_path)


@pytest.mark.parametrize("missing", ["leftImg8bit", "gtFine", "gtFine/val"])
def test_a_missing_folder_is_one_clear_error(tmp_path: Path, missing: str) -> None:
    make_cityscapes(tmp_path)
    shutil.rmtree(tmp_path / missing)
    told = f"root must hold leftImg8bit/.* and gtFine/.*zip, got no {missing}.* in"
    with pytest.raises(FileNotFoundError, match=told):
        made(tmp_path)


def test_a_folder_without_images_or_labels_is_named(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    for path in tmp_path.rglob("*_labelTrainIds.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"gtFine.train .*give labels='labelId"):
        made(tmp_path, labels="labelTrainIds")
    shutil.rmtree(tmp_path / "leftImg8bit/train")
    (tmp_path / "leftImg8bit/train").mkdir()
    with pytest.raises(ValueError, match=r"leftImg8bit.train must hold .* got none"):
        made(tmp_path)


@pytest.mark.parametrize("stage", ["prepare_data", "setup"])
def test_the_archives_are_unpacked_once(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cityscapes(tmp_path / "made")
    for part in ("leftImg8bit", "gtFine"):
        archive = str(tmp_path / f"{part}_trainvaltest")
        shutil.make_archive(archive, "zip", tmp_path / "made", part)
    shutil.rmtree(tmp_path / "made")
    data = unread(tmp_path)
    if stage == "prepare_data":
        data.prepare_data()
        monkeypatch.delattr("torchvision.datasets.cityscapes.extract_archive")
    data.setup("fit")
    assert len(data.labeled) == 8


def test_a_broken_archive_is_an_error(tmp_path: Path) -> None:
    for part in ("leftImg8bit", "gtFine"):
        (tmp_path / f"{part}_trainvaltest.zip").write_text("half")
    with pytest.raises(ValueError, match=r"archives in .* must be complete"):
        made(tmp_path)


def test_labels_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="one of labelIds, labelTrainIds, got color"):
        unread(Path("unread"), labels="color")


def test_hyperparameters_are_plain_values(tmp_path: Path) -> None:
    data = CityscapesDataModule(
        tmp_path, labeled=0.25, split=Path("a.txt"), num_workers=0
    )
    assert data.hparams["root"] == str(tmp_path)
    assert data.hparams["split"] == "a.txt"
    assert data.hparams["labeled"] == 0.25
    assert data.hparams["train_extra"] is False
    assert type(data)(**data.hparams).num_workers == 0
