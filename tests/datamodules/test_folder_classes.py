import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.labels.label_reading import read_label
from tests.images import make_folder, save_pair, setup_folder, write_png


def test_classes_are_counted_and_the_count_is_reported(
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


def test_masks_of_0_and_255_are_two_classes_and_this_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(tmp_path, labeled=2, val=1)
    values = np.zeros((24, 32), np.uint8)
    values[:5] = 255
    for label in ("labels/00.png", "labels/01.png", "val/labels/v0.png"):
        Image.fromarray(values).save(root / label)
    with caplog.at_level(logging.INFO):
        data = setup_folder(root)
    assert data.num_classes == 2
    assert "0 and 255 in most labels" in caplog.text
    assert data.labeled[0]["label"][4:6, 0].tolist() == [1, 0]


@pytest.mark.parametrize("val", [0, 2])
def test_a_class_that_occurs_in_validation_only_is_counted(
    tmp_path: Path, val: int
) -> None:
    root = make_folder(tmp_path, labeled=6, val=val)
    label = root / ("val/labels/v1.png" if val else "labels/04.png")
    values = np.asarray(Image.open(label)).copy()
    values[0, 0] = 3
    Image.fromarray(values).save(label)
    assert setup_folder(root).num_classes == 4


def test_images_to_predict_with_equal_names_are_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    save_pair(root / "unlabeled/u0.jpg", None)
    with pytest.raises(ValueError, match=r"u0\.jpg and .*u0\.png"):
        setup_folder(root, "predict")


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
def test_labels_of_every_format_become_the_same_classes(
    tmp_path: Path, kind: str, labeled: int | None
) -> None:
    root = make_folder(tmp_path / "data")
    change, text = FORMATS[kind]
    rewrite(root, change)
    if text:
        (root / "classes.yaml").write_text(text)
    data = setup_folder(root, labeled=labeled)
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
    data = setup_folder(root, num_classes=num_classes, labeled=4)
    assert data.num_classes == 2
    for index in range(4):
        expected = classes_of(tmp_path, data.labeled.images[index].stem) == 1
        assert np.array_equal(data.labeled[index]["label"], expected)


def test_two_class_names_suffice_for_masks_of_0_and_255(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    (root / "classes.yaml").write_text("[other, road]")
    assert {*np.unique(setup_folder(root).labeled[0]["label"]).tolist()} == {0, 1}


def test_a_mask_with_another_value_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    Image.new("L", (32, 24), 3).save(root / "labels/03.png")
    with pytest.raises(ValueError, match=r"values of 0, 255, got 3 .*/03\.png;"):
        setup_folder(root)


def test_with_three_classes_255_in_masks_is_void_with_a_warning(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    for path in (root / "val/labels").iterdir():
        values = np.full((24, 32), 2, np.uint8)
        values[0] = 1
        Image.fromarray(values).save(path)
    with pytest.warns(UserWarning, match=r"6 labels with nothing but class 0 and void"):
        label = setup_folder(root, num_classes=3).labeled[0]["label"]
    assert np.unique(label).tolist() == [0, 255]


def test_a_label_map_overrides_the_meaning_of_masks(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: (label == 1).astype(np.uint8) * 255)
    data = setup_folder(root, label_map={0: 1, 255: 0})
    assert data.num_classes == 2
    raw = read_label(root / "labels/00.png").values
    assert np.array_equal(data.labeled[0]["label"], raw == 0)


@pytest.mark.parametrize("labeled", [None, 3])
def test_colors_without_a_class_are_named(tmp_path: Path, labeled: int | None) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: COLORS[label])
    with pytest.raises(
        ValueError,
        match=r"must be mapped to classes, got #0000ff in .*labels/.*classes\.yaml",
    ):
        setup_folder(root, labeled=labeled)
    with pytest.raises(
        ValueError,
        match=r"0 to 1, 255, #000000, #800000, got #0000ff \(\d+ pixels\) in",
    ):
        setup_folder(root, labeled=labeled, palette=[(0, 0, 0), (128, 0, 0)])


def test_a_label_map_may_map_several_values_to_void(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    data = setup_folder(root, label_map={0: 0, 1: 255, 2: 1})
    raw = read_label(root / "labels/00.png").values
    assert np.array_equal(data.labeled[0]["label"], np.array([0, 255, 1])[raw])
    assert data.num_classes == 2


def test_classes_from_classes_yaml_need_no_label_file(
    tmp_path: Path,
) -> None:
    text = "class_names: [a, b]\npalette: [[1, 2, 3], [4, 5, 6]]\n"
    data = FolderDataModule(tmp_path)  # there is nothing in it yet
    (tmp_path / "classes.yaml").write_text(text)
    assert data.class_names == ["a", "b"]
    assert data.palette == [(1, 2, 3), (4, 5, 6)]
    assert data.num_classes == 2
    (tmp_path / "classes.yaml").write_text("label_map: {5: 0, 6: 2, 7: 255}")
    data = FolderDataModule(tmp_path)
    assert (data.class_names, data.palette, data.num_classes) == (None, None, 3)


def test_arguments_override_classes_yaml(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yaml").write_text(
        "{class_names: [a, b, c], label_map: {0: 0, 1: 1, 2: 2}}"
    )
    data = setup_folder(root, class_names=["d", "e", "f"], label_map={0: 2, 1: 1, 2: 0})
    assert data.class_names == ["d", "e", "f"]
    raw = read_label(root / "labels/00.png").values
    assert np.array_equal(data.labeled[0]["label"], 2 - raw)


def test_arguments_that_contradict_classes_yaml_are_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yaml").write_text("[a, b, c]")
    with pytest.raises(ValueError, match="names and colors, 3, got 4"):
        setup_folder(root, num_classes=4)
    with pytest.raises(
        ValueError, match=r"3 names and 1 colors by arguments and .*classes\.yaml"
    ):
        setup_folder(root, palette=[(0, 0, 0)])
    with pytest.raises(ValueError, match=r"classes in \[0, 2\] .*, got 3 for 9"):
        setup_folder(root, label_map={9: 3, 8: 2})


@pytest.mark.parametrize("count", [-1, 0, 1, 256])
def test_num_classes_out_of_range_is_an_error(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=rf"in \[2, 255\], got {count}$"):
        setup_folder(make_folder(tmp_path), num_classes=count)


def test_fewer_than_two_classes_are_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for options in ({"class_names": ["a"]}, {"label_map": {0: 0, 1: 255, 2: 255}}):
        with pytest.raises(ValueError, match=r"num_classes must be .*, got 1$"):
            setup_folder(root, **options)
    with pytest.raises(ValueError, match=r"num_classes must be .*, got 0$"):
        setup_folder(root, label_map={0: 255, 1: 255, 2: 255})


def test_faults_of_files_are_reported_if_no_class_can_be_counted(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path, labeled=3, val=0, unlabeled=0)
    for label in (root / "labels").iterdir():
        label.rename(label.with_stem(f"{label.stem}_old"))
    with (
        pytest.warns(UserWarning, match="0 labeled images are too few"),
        pytest.raises(ValueError, match=r"must have an image, got .*00_old\.png"),
    ):
        _ = FolderDataModule(root).num_classes


def test_broken_labels_are_reported_if_no_class_can_be_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path, labeled=1, val=0)
    (root / "labels/00.png").write_bytes(b"no image")
    with (
        pytest.warns(UserWarning, match="1 labeled images are too few"),
        pytest.raises(ValueError, match=r"must be readable, got .*00\.png"),
    ):
        _ = FolderDataModule(root).num_classes


def test_smoothed_masks_are_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for path in (*(root / "labels").iterdir(), *(root / "val/labels").iterdir()):
        large = Image.new("L", (320, 240))
        large.paste(255, (100, 60, 220, 180))
        small = large.resize((32, 24)).rotate(17, Image.Resampling.BICUBIC)
        small.save(path)
    with pytest.raises(ValueError, match="nearest neighbor, or give num_classes"):
        setup_folder(root)


def test_classes_yaml_may_hold_num_classes(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "classes.yml").write_text("num_classes: 5\n")
    assert FolderDataModule(root).num_classes == 5
    (root / "classes.yml").write_text("{num_classes: 5, class_names: [a, b]}\n")
    with pytest.raises(ValueError, match=r"names and colors, 2, got 5 .*classes\.yml"):
        _ = FolderDataModule(root).num_classes
    (root / "classes.yml").write_text("")
    assert FolderDataModule(root).num_classes == 3


def permuted(label: NDArray[np.uint8], order: list[int]) -> Image.Image:
    """Return a palette image of `COLORS` in which the indices have another order."""
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[label]).convert("P")
    image.putpalette(COLORS[order].flatten().tolist())
    return image


def test_palettes_in_any_order_are_read_by_a_palette(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    orders = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    for index, path in enumerate(sorted((root / "labels").iterdir())):
        permuted(np.asarray(Image.open(path)), orders[index % 3]).save(path)
    data = setup_folder(root, palette=COLORS.tolist())
    for index in range(6):
        expected = classes_of(tmp_path, f"{index:02d}")
        assert np.array_equal(data.labeled[index]["label"], expected)


@pytest.mark.parametrize("labeled", [None, 3])
def test_palettes_that_disagree_are_an_error_without_a_palette(
    tmp_path: Path, labeled: int | None
) -> None:
    root = make_folder(tmp_path)
    orders = [[0, 1, 2], [2, 0, 1]]
    for index, path in enumerate(sorted((root / "labels").iterdir())):
        permuted(np.asarray(Image.open(path)), orders[index % 2]).save(path)
    with pytest.raises(
        ValueError, match=r"must agree, got index 1 .*labels/0\d\.png.*labels/0\d\.png"
    ):
        setup_folder(root, labeled=labeled)


@pytest.mark.filterwarnings("ignore:num_classes is 171")
@pytest.mark.parametrize("bits", [1, 2])
def test_masks_of_few_bits_mean_the_same_as_masks_of_8_bits(
    tmp_path: Path, bits: int
) -> None:
    root = make_folder(tmp_path / "data", labeled=7, val=0)
    step = 255 // ((1 << bits) - 1)
    expected = []
    for index, path in enumerate(sorted((root / "labels").iterdir())):
        numbers = np.asarray(Image.open(path)).reshape(1, -1).astype(np.uint8)
        numbers = numbers % (1 << bits)
        size = numbers.shape[1]
        save_pair(root / f"images/{path.stem}.jpg", None, size=(1, size))
        if index != 4:  # held out for validation
            expected.append(numbers * step if bits == 2 else numbers)
        if index % 2:
            Image.fromarray(numbers * step).save(path)
        else:
            spread = np.unpackbits(numbers[..., None], axis=-1)[..., -bits:]
            write_png(path, np.packbits(spread).tobytes(), size, bits=bits)
    data = setup_folder(root, batch_size=1, unlabeled_batch_size=2)
    for index in range(6):
        assert np.array_equal(data.labeled[index]["label"], expected[index])


def test_a_mask_in_the_alpha_channel_is_an_error_with_num_classes_too(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path)
    rewrite(root, lambda label: np.dstack([np.zeros((24, 32, 3), np.uint8), label]))
    for num_classes in (None, 2):
        with pytest.raises(ValueError, match="got a mask in the alpha channel of"):
            setup_folder(root, num_classes=num_classes)


def test_labels_of_a_single_class_are_warned_of(tmp_path: Path) -> None:
    root = make_folder(tmp_path, labeled=4)
    rewrite(root, lambda label: label * 0 + 1)
    save_pair(root / "val/images/v0.png", root / "val/labels/v0.png")
    with pytest.warns(UserWarning, match="hold class 1 only, in 4 files"):
        setup_folder(root, num_classes=3, unlabeled_batch_size=2)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_labels_of_any_number_type_with_negative_keys(
    tmp_path: Path, dtype: type[np.generic]
) -> None:
    root = make_folder(tmp_path / "data", val=0)
    for path in (root / "labels").iterdir():
        values = np.asarray(Image.open(path)).astype(dtype) - 1  # -1, 0, 1
        Image.fromarray(values).save(path.with_suffix(".tif"))
        path.unlink()
    with pytest.raises(ValueError, match=r"got -1 in .*; give label_map, such as {-1"):
        setup_folder(root)
    data = setup_folder(root, label_map={-1: 255, 0: 0, 1: 1})
    expected = np.array([255, 0, 1])[classes_of(tmp_path, "00")]
    assert np.array_equal(data.labeled[0]["label"], expected)
