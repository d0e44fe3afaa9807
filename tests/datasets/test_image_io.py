import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.image_io import (
    IMAGE_SUFFIXES,
    list_images,
    raise_faults,
    stem,
)
from lightning_classmix.datasets.image_reading import file_channels, read_image
from lightning_classmix.datasets.labels.label_reading import read_label
from tests.images import save_pair, write_png

RAMP = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
PALETTE = [part for value in range(256) for part in (255 - value, value, value // 2)]


def pixels(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    assert image.shape[2] == 3
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_gray_images_are_read_as_rgb(tmp_path: Path, mode: str) -> None:
    gray = RAMP // 128 * 255 if mode == "1" else RAMP
    Image.fromarray(gray).convert(mode).save(tmp_path / "gray.png")
    assert (pixels(tmp_path / "gray.png") == gray[..., None]).all()


def test_palette_images_are_read_as_colors(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP).convert("P")
    image.putpalette(PALETTE)
    expected = np.array(PALETTE, np.uint8).reshape(-1, 3)[RAMP]
    for transparency in (None, 20, bytes([0, 128, 255])):
        options: dict[str, Any] = (
            {} if transparency is None else {"transparency": transparency}
        )
        image.save(tmp_path / "palette.png", **options)
        assert np.array_equal(pixels(tmp_path / "palette.png"), expected)


def test_transparency_is_dropped(tmp_path: Path) -> None:
    colors = np.dstack([RAMP, RAMP + 1, RAMP + 2])
    Image.fromarray(np.dstack([colors, RAMP])).save(tmp_path / "rgba.png")
    assert np.array_equal(pixels(tmp_path / "rgba.png"), colors)
    Image.fromarray(RAMP).save(tmp_path / "gray.png", transparency=20)
    assert (pixels(tmp_path / "gray.png") == RAMP[..., None]).all()


def test_cmyk_images_are_read_as_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    red = pixels(tmp_path / "red.jpg").astype(int)
    assert abs(red - [255, 0, 0]).max() < 10


@pytest.mark.parametrize("name", ["gray.png", "gray.tif"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bits_are_kept(tmp_path: Path, name: str, order: str) -> None:
    values = np.array([[0, 255, 256, 511], [4660, 32768, 65280, 65535]], np.uint16)
    if name == "gray.tif" or order == "<u2":
        Image.fromarray(values.astype(order)).save(tmp_path / name)
    else:
        write_png(tmp_path / name, values[:1].astype(order).tobytes(), 4, bits=16)
        values = values[:1]
    assert np.array_equal(pixels(tmp_path / name), np.dstack([values] * 3))


UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: np.rot90(stored),
}
"""Upright pixels by EXIF orientation."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_are_rotated_by_exif(
    tmp_path: Path, orientation: int, dtype: type[np.integer]
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    stored = RAMP.astype(dtype) << (8 if dtype is np.uint16 else 0)
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    expected = UPRIGHT[orientation](stored)
    assert np.array_equal(pixels(tmp_path / "turned.png")[..., 0], expected)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("upper", [False, True])
def test_every_suffix_is_found_and_read(
    tmp_path: Path, suffix: str, upper: bool
) -> None:
    name = f"x{suffix.upper() if upper else suffix}"
    image = Image.new("RGB", (16, 8), (200, 100, 50))
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    image.save(tmp_path / name, **options)
    (path,) = list_images(tmp_path)
    assert path.name == name
    assert abs(pixels(path).astype(int) - [200, 100, 50]).max() < 4


@pytest.mark.parametrize("read", [read_image, read_label])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_a_truncated_file_is_named(
    tmp_path: Path, read: Callable[[Path], object], suffix: str
) -> None:
    path = tmp_path / f"cut{suffix}"
    save_pair(path, None)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=rf"must be readable, got .*cut\{suffix}"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_file_that_is_empty_or_no_image_or_a_folder_is_named(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"be readable, got an empty .*empty\.png$"):
        read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"must be readable, got .*text\.png: "):
        read(tmp_path / "text.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=r"must be readable, got .*folder\.png: "):
        read(tmp_path / "folder.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_pipe_is_refused_without_waiting_for_a_writer(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    message = rf"must be readable, got .*pipe\{suffix}: it is a pipe$"
    with pytest.raises(ValueError, match=message):
        read_image(path)
    with pytest.raises(ValueError, match=message):
        read_image(path, channels=4)
    with pytest.raises(ValueError, match=message):
        read_label(path)
    with pytest.raises(ValueError, match="it is a pipe"):
        file_channels(path)


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_missing_file_is_named(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read(tmp_path / "none.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError, match=r"link\.png"):
        read(tmp_path / "link.png")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} must hold images"):
        list_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere must be a folder"):
        list_images(tmp_path / "nowhere")


def test_images_in_subfolders_are_found_sorted_without_hidden_files(
    tmp_path: Path,
) -> None:
    for name in ("b.JPG", "a/c.png", ".hidden.png", ".checkpoints/d.png"):
        save_pair(tmp_path / name, None)
    (tmp_path / "notes.txt").write_text("no image")
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a/c.png", "b.JPG"]


def test_links_are_followed_but_not_back(tmp_path: Path) -> None:
    save_pair(tmp_path / "elsewhere/x.png", None)
    save_pair(tmp_path / "images/deep/y.png", None)
    (tmp_path / "images/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images/z.png").symlink_to(tmp_path / "elsewhere/x.png")
    (tmp_path / "images/deep/self").symlink_to(".")
    (tmp_path / "images/deep/back").symlink_to(tmp_path / "images")
    found = [
        path.relative_to(tmp_path / "images")
        for path in list_images(tmp_path / "images")
    ]
    assert [*map(str, found)] == ["deep/y.png", "linked/x.png", "z.png"]


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [
        ("data/a/x.y.png", "data", "a/x.y"),
        ("/data/a.b/x.png", "/data", "a.b/x"),
        ("/other/x.png", "/data", "other/x"),
        ("data/../other/x.png", "data", "other/x"),
        ("data/./a//x.png", "data", "a/x"),
        ("./x.png", ".", "x"),
        ("/x.png", "/", "x"),
        ("database/x.png", "data", "database/x"),
        ("../x.png", ".", "x"),
    ],
)
def test_a_name_is_relative_to_its_folder(path: str, folder: str, name: str) -> None:
    assert stem(path, Path(folder)) == stem(Path(path), Path(folder)) == name


def test_an_error_lists_the_first_faults_and_counts_the_others() -> None:
    with pytest.raises(ValueError, match="fault 0") as error:
        raise_faults(f"fault {index}" for index in range(25))
    assert str(error.value).endswith("fault 19\nand 5 more")
    raise_faults([])
