from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.datasets.image_io import LABEL_SUFFIXES
from lightning_classmix.datasets.labels.label_reading import read_label
from lightning_classmix.datasets.labels.raw_values import COLOR, format_value
from tests.images import write_png

RAMP = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
def test_index_labels_are_read_unchanged(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RAMP).save(tmp_path / f"x{suffix}")
    label = read_label(tmp_path / f"x{suffix}").values
    assert label.dtype == np.uint8
    assert np.array_equal(label, RAMP)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_labels_of_16_bits_are_read_completely(
    tmp_path: Path, suffix: str, order: str
) -> None:
    values = np.array([[0, 255, 256, 65535]], order)
    if suffix == ".tif":
        Image.fromarray(values).save(tmp_path / "x.tif")
    else:
        write_png(tmp_path / "x.png", values.astype(">u2").tobytes(), 4, bits=16)
    label = read_label(tmp_path / f"x{suffix}").values
    assert label.dtype == np.uint16
    assert label.tolist() == [[0, 255, 256, 65535]]


@pytest.mark.parametrize("alpha", [False, True])
def test_color_labels_are_read_as_colors(tmp_path: Path, alpha: bool) -> None:
    values = np.array([[[1, 2, 3], [255, 0, 16]]], np.uint8)
    held = np.dstack([values, [[0, 9]]]).astype(np.uint8) if alpha else values
    Image.fromarray(held).save(tmp_path / "x.png")
    label = read_label(tmp_path / "x.png").values
    assert label.tolist() == [[COLOR | 0x010203, COLOR | 0xFF0010]]


def test_the_alpha_channel_of_gray_labels_is_ignored(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([RAMP, RAMP // 2])).save(tmp_path / "x.png")
    assert np.array_equal(read_label(tmp_path / "x.png").values, RAMP)


def test_labels_are_not_rotated(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RAMP).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_label(tmp_path / "x.png").values, RAMP)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {"format": "JPEG"}),
        ("x.png", {"format": "MPO"}),
        ("x.tif", {"compression": "jpeg"}),
    ],
)
def test_a_label_with_loss_is_refused_whatever_its_name(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    Image.new("RGB", (16, 16), (3, 4, 5)).save(tmp_path / name, **options)
    with pytest.raises(ValueError, match=rf"without loss, got a JPEG in .*{name};"):
        read_label(tmp_path / name)


def test_labels_of_other_modes_are_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 3)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"got mode CMYK in .*x\.tif"):
        read_label(tmp_path / "x.tif")


def test_palette_labels_are_read_as_indices(tmp_path: Path) -> None:
    values = np.array([[0, 3], [255, 1]], np.uint8)
    image = Image.fromarray(values).convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "p.png")
    label = read_label(tmp_path / "p.png")
    assert np.array_equal(label.values, values)
    assert label.codes is not None
    assert format_value(int(label.codes[3])) == "index 3 of color #f6f5f4"
    Image.fromarray(values).save(tmp_path / "l.png")
    assert np.array_equal(read_label(tmp_path / "l.png").values, values)


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 3), (4, 15)])
def test_gray_labels_of_few_bits_hold_the_written_numbers(
    tmp_path: Path, bits: int, top: int
) -> None:
    values = np.arange(top + 1, dtype=np.uint8)[None]
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:])
    write_png(tmp_path / "few.png", packed.tobytes(), top + 1, bits=bits)
    assert read_label(tmp_path / "few.png").values.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (np.array([[0, 1, 65535]], np.int32), {}),
        (np.array([[-9999, 1, 70000]], np.int32), {}),
        (np.array([[-9999, 1, 3]], np.float32), {}),
        (np.array([[-9999, 1, 3]], np.int16), {"tiffinfo": {339: 2}}),
    ],
)
def test_numbers_of_any_type_are_read(
    tmp_path: Path, values: Any, options: dict[str, Any]
) -> None:
    stored = values.view(np.uint16) if values.dtype == np.int16 else values
    Image.fromarray(stored).save(tmp_path / "x.tif", **options)
    assert read_label(tmp_path / "x.tif").values.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, r"whole numbers, got 1.5 in .*x\.tif"),
        (np.nan, r"got NaN or infinity in .*x\.tif; save a number"),
    ],
)
def test_fractions_and_nan_are_refused(
    tmp_path: Path, value: float, message: str
) -> None:
    Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=message):
        read_label(tmp_path / "x.tif")


@pytest.mark.parametrize("bands", [1, 3])
def test_a_mask_in_the_alpha_channel_is_named(tmp_path: Path, bands: int) -> None:
    image = np.dstack([np.zeros((3, 4, bands), np.uint8), RAMP])
    Image.fromarray(image).save(tmp_path / "x.png")
    with pytest.raises(
        ValueError, match=r"mask in the alpha channel of .*x\.png; save"
    ):
        read_label(tmp_path / "x.png")
