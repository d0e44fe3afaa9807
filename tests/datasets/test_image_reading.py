from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lightning_classmix.datasets.image_reading import file_channels, read_image


def deep(channels: int) -> Any:
    """Return values of 16 bits whose lower bytes matter, ``(3, 4, C)``."""
    return (np.arange(12 * channels).reshape(3, 4, channels) * 257 + 5).astype(
        np.uint16
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_png_colors_of_16_bits_are_kept(tmp_path: Path, channels: int) -> None:
    values = deep(channels)
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(tmp_path / "x.png"), values[..., order])
    assert np.array_equal(read_image(tmp_path / "x.png", channels), values)
    assert np.array_equal(read_image(tmp_path / "x.png", 3), values[..., :3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 13])
@pytest.mark.parametrize("planar", [False, True])
def test_tiff_bands_are_channels(
    tmp_path: Path, dtype: type[np.generic], channels: int, planar: bool
) -> None:
    values = deep(channels).astype(dtype)
    path = tmp_path / "x.tif"
    if channels == 1:
        tifffile.imwrite(path, values[..., 0], photometric="minisblack")
    elif planar:
        planes = values.transpose(2, 0, 1)
        tifffile.imwrite(
            path, planes, planarconfig="separate", photometric="minisblack"
        )
    else:
        photometric = "rgb" if channels in (3, 4) else "minisblack"
        tifffile.imwrite(path, values, planarconfig="contig", photometric=photometric)
    image = read_image(path, channels)
    assert np.array_equal(image, values)
    assert file_channels(path)[1] == channels


def test_compressed_bands_are_read(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    values = deep(5)
    tifffile.imwrite(
        tmp_path / "x.tif", values, compression="lzw", planarconfig="contig"
    )
    assert np.array_equal(read_image(tmp_path / "x.tif", 5), values)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)]
)
def test_files_have_the_channels_of_their_mode(
    tmp_path: Path, mode: str, channels: int
) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    image.convert(mode).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", channels).shape == (3, 4, channels)
    for other in {1, 2, 4, 6} - {channels}:
        with pytest.raises(ValueError, match=rf"have {other} channels?, got .*x\.png"):
            read_image(tmp_path / "x.png", other)


def test_too_many_bands_are_an_error(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", deep(6), planarconfig="contig")
    with pytest.raises(
        ValueError, match=r"3 channels, got 6 in .*; give in_channels=6"
    ):
        read_image(tmp_path / "x.tif")


def test_nan_is_named(tmp_path: Path) -> None:
    values = np.full((3, 4), np.nan, np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"got NaN or infinity in .*x\.tif"):
        read_image(tmp_path / "x.tif")
