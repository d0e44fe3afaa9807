import shutil
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import PascalVOCDataModule, ops
from lightning_classmix.colors import default_palette
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.splits import published_split, training_names
from tests.images import make_voc

BASE = "VOCdevkit/VOC2012"
LISTS = f"{BASE}/ImageSets/Segmentation"
FETCH = "torchvision.datasets.voc.download_and_extract_archive"


def unread(root: Path, train: str = "train_aug", **options: Any) -> Any:
    options = {"batch_size": 2, "num_workers": 0, "crop": (16, 16), **options}
    return PascalVOCDataModule(str(root), train, **options)  # type: ignore[arg-type]


def made(root: Path, train: str = "train_aug", **options: Any) -> Any:
    data = unread(root, train, **options)
    data.prepare_data()
    data.setup("fit")
    return data


def raw(path: Path) -> Any:
    with Image.open(path) as label:
        assert label.mode == "P"
        return np.asarray(label)


@pytest.mark.parametrize(
    ("train", "count", "folder"),
    [("train", 3, "SegmentationClass"), ("train_aug", 8, "SegmentationClassAug")],
)
def test_labels_are_the_indices_of_their_palettes(
    tmp_path: Path, train: str, count: int, folder: str
) -> None:
    data = made(make_voc(tmp_path), train)
    assert len(data.labeled) == count
    assert data.unlabeled is None
    base = tmp_path / BASE
    for index, name in enumerate(data.labeled.names()):
        assert name == f"2007_{index:06d}"
        label = raw(base / folder / f"{name}.png")
        assert np.array_equal(data.labeled[index]["label"], label)
    assert data.val.names() == ["2007_000008", "2007_000009"]
    for index, name in enumerate(data.val.names()):
        label = raw(base / "SegmentationClass" / f"{name}.png")
        assert np.array_equal(data.val[index]["label"], label)
        assert ops.VOID in label


@pytest.mark.parametrize("mode", ["L", "P"])
def test_each_of_21_classes_is_itself_and_255_is_void(
    tmp_path: Path, mode: str
) -> None:
    make_voc(tmp_path)
    values = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) % 22
    values = np.where(values == 21, 255, values).astype(np.uint8)
    label = Image.fromarray(values)
    if mode == "P":
        label.putpalette([0] * 768)
    label.save(tmp_path / BASE / "SegmentationClassAug/2007_000000.png")
    assert np.array_equal(made(tmp_path).labeled[0]["label"], values)


def test_21_is_not_a_class(tmp_path: Path) -> None:
    make_voc(tmp_path)
    path = tmp_path / BASE / "SegmentationClass/2007_000008.png"
    Image.new("L", (32, 26), 21).save(path)
    with pytest.raises(ValueError, match=r"0 to 20, 255, got 21 .*2007_000008\.png"):
        made(tmp_path)


def test_there_are_21_classes_with_names_and_the_colors_of_the_kit() -> None:
    data = unread(Path("unread"))
    assert data.num_classes == len(data.class_names) == 21
    assert list(data.palette) == default_palette(21)
    told = dict(zip(data.class_names, data.palette, strict=True))
    assert told["background"] == (0, 0, 0)
    assert told["person"] == (192, 128, 128)
    assert told["tvmonitor"] == (0, 64, 128)


@pytest.mark.parametrize("name", ["train_aug.txt", "trainaug.txt"])
@pytest.mark.parametrize(
    "line", ["{}\n", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png\n"]
)
def test_the_list_of_train_aug_is_read_in_its_forms(
    tmp_path: Path, name: str, line: str
) -> None:
    make_voc(tmp_path, listed=False)
    listed = ["2007_000005", "2007_000001"]
    text = "".join(line.format(one) for one in listed)
    (tmp_path / LISTS / name).write_text(f"{text}\n")
    assert made(tmp_path).labeled.names() == sorted(listed)


def test_without_a_list_train_aug_is_the_common_one(tmp_path: Path) -> None:
    make_voc(tmp_path, listed=False)
    listed = unread(tmp_path).listed
    assert len(listed.faults) + len(listed.labeled) == 10582
    assert f"{training_names('pascal_voc')[0]}.jpg" in listed.faults[0]
    with pytest.raises(
        ValueError, match=r"an image of the list of train_aug must exist"
    ):
        made(tmp_path)


@pytest.mark.parametrize(("labeled", "count"), [(3, 3), (0.5, 4), (1.0, 8)])
def test_counts_and_shares_are_of_the_training_images(
    tmp_path: Path, labeled: float, count: int
) -> None:
    data = made(make_voc(tmp_path), labeled=labeled)
    unlabeled = data.unlabeled.images if data.unlabeled else ()
    assert [len(data.labeled), len(unlabeled)] == [count, 8 - count]
    assert len({*data.labeled.images, *unlabeled}) == 8


@pytest.mark.parametrize("split", ["unimatch/1_8", "olsson2021/0", "unimatch/92"])
def test_a_named_split_is_taken_by_its_names(
    monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    known, root = training_names("pascal_voc"), Path("unread")
    data = unread(root, split=split, labeled=50)
    pool = ImageFiles([root / f"{name}.jpg" for name in known], root=root)
    monkeypatch.setattr(type(data), "listed", Files(pool))
    chosen = [known[index] for index in data.choose()]
    assert chosen == published_split("pascal_voc", split)[:50]


def test_missing_files_are_faults(tmp_path: Path) -> None:
    base = make_voc(tmp_path) / BASE
    (base / "JPEGImages/2007_000004.jpg").unlink()
    (base / "SegmentationClassAug/2007_000001.png").unlink()
    (base / "SegmentationClass/2007_000009.png").unlink()
    assert unread(tmp_path).listed.faults == [
        f"an image must have a label, got {base}/JPEGImages/2007_000009.jpg without"
        f" {base}/SegmentationClass/2007_000009.png",
        f"an image must have a label, got {base}/JPEGImages/2007_000001.jpg without"
        f" {base}/SegmentationClassAug/2007_000001.png",
        f"an image of {tmp_path / LISTS}/trainaug.txt must exist, got no"
        f" {base}/JPEGImages/2007_000004.jpg",
    ]
    with pytest.raises(ValueError, match=r"2007_000009(.|\n)*2007_000004"):
        made(tmp_path)


def test_lists_that_are_wrong_are_faults(tmp_path: Path) -> None:
    lists = make_voc(tmp_path) / LISTS
    (lists / "trainaug.txt").write_text("2007_000001\n2007_000008\n2007_000001\n")
    (lists / "val.txt").write_text("2007_000008\n\n")
    labels = lists.parents[1]
    shutil.copy(
        labels / "SegmentationClass/2007_000008.png", labels / "SegmentationClassAug"
    )
    assert unread(tmp_path).listed.faults == [
        f"an image must occur once in {lists}/trainaug.txt, got 2007_000001 2 times",
        "train_aug and val must share no image, got 1 in both, such as 2007_000008",
    ]
    (lists / "val.txt").write_text("")
    (fault, *_) = unread(tmp_path).listed.faults
    assert fault == f"{lists}/val.txt must name images, got none"


@pytest.mark.parametrize(
    "missing",
    ["", "/JPEGImages", "/SegmentationClass", "/ImageSets/Segmentation/val.txt"],
)
def test_an_incomplete_root_is_one_clear_error(tmp_path: Path, missing: str) -> None:
    path = make_voc(tmp_path) / f"{BASE}{missing}"
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    told = f"root must hold {BASE}{missing}, got none in {tmp_path}; download=True"
    with pytest.raises(FileNotFoundError, match=told):
        made(tmp_path)


def test_train_needs_neither_the_list_nor_the_labels_of_train_aug(
    tmp_path: Path,
) -> None:
    make_voc(tmp_path, listed=False)
    shutil.rmtree(tmp_path / BASE / "SegmentationClassAug")
    assert len(made(tmp_path, "train").labeled) == 3
    told = f"root must hold {BASE}/SegmentationClassAug, got none .* train='train'"
    with pytest.raises(FileNotFoundError, match=told):
        made(tmp_path)


@pytest.mark.parametrize("inside", ["VOCdevkit", "VOC2012"])
def test_a_root_inside_the_dataset_is_explained(tmp_path: Path, inside: str) -> None:
    make_voc(tmp_path)
    root = tmp_path / BASE[: BASE.index(inside) + len(inside)]
    told = f"root must hold {BASE}, got {root}, which is {inside} itself; give the"
    with pytest.raises(FileNotFoundError, match=told):
        made(root)


def test_the_data_set_is_fetched_once_where_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Path] = []

    def fetch(url: str, root: Path, *, filename: str, md5: str) -> None:
        assert filename == "VOCtrainval_11-May-2012.tar"
        make_voc(Path(root), listed=False)
        shutil.rmtree(Path(root) / BASE / "SegmentationClassAug")
        fetched.append(Path(root))

    monkeypatch.setattr(FETCH, fetch)
    root = tmp_path / "new"
    with pytest.raises(FileNotFoundError, match="root must be a folder"):
        made(root, "train")
    assert not fetched
    for _ in range(2):
        assert len(made(root, "train", download=True).labeled) == 3
    assert fetched == [root]
    with pytest.raises(FileNotFoundError, match="SegmentationClassAug, got none"):
        made(root, download=True)


def test_a_fetch_that_was_cut_off_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voc(tmp_path)
    (tmp_path / BASE / "JPEGImages/2007_000008.jpg").unlink()

    def fetch(url: str, root: Path, **_: str) -> None:
        shutil.rmtree(tmp_path / BASE)
        make_voc(Path(root))

    monkeypatch.setattr(FETCH, fetch)
    assert len(made(tmp_path, download=True).val) == 2


@pytest.mark.parametrize("fault", [URLError("no host"), RuntimeError("corrupted")])
def test_a_failed_download_names_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fetch(url: str, root: Path, **_: str) -> None:
        raise fault

    monkeypatch.setattr(FETCH, fetch)
    told = rf"reach the dataset, got .*(no host|corrupted).*2012\.tar to {tmp_path}"
    with pytest.raises(OSError, match=told):
        made(tmp_path, download=True)


def test_images_of_many_sizes_are_evaluated_one_by_one(tmp_path: Path) -> None:
    data = made(make_voc(tmp_path, val=3))
    shapes = [tuple(batch["image"].shape) for batch in data.val_dataloader()]
    assert shapes == [(1, 3, 26, 32), (1, 3, 24, 31), (1, 3, 25, 32)]


def test_val_is_predicted_and_there_is_no_test_set(tmp_path: Path) -> None:
    data = unread(make_voc(tmp_path))
    data.setup("predict")
    assert data.predict.names() == ["2007_000008", "2007_000009"]
    with pytest.raises(ValueError, match="there must be images to test"):
        data.setup("test")


def test_other_training_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="one of train, train_aug, got trainval"):
        unread(Path("unread"), "trainval")


def test_hyperparameters_are_plain_values(tmp_path: Path) -> None:
    data = PascalVOCDataModule(tmp_path, "train", split=Path("a.txt"), num_workers=0)
    assert data.hparams["root"] == str(tmp_path)
    assert data.hparams["split"] == "a.txt"
    assert data.hparams["train"] == "train"
    assert type(data)(**data.hparams).num_workers == 0
