import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.data.files import (
    list_images,
    raise_faults,
    read_image,
    read_label,
)
from tests.images import save_pair


def test_images_of_every_mode_come_as_upright_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    for mode in ("L", "P", "RGBA", "LA"):
        grey.convert(mode).save(tmp_path / f"{mode}.png")
        image = read_image(tmp_path / f"{mode}.png")
        assert (image.mode, image.size) == ("RGB", (4, 3))
    turned = Image.Exif()
    turned[274] = 6  # a quarter turn
    grey.convert("RGB").save(tmp_path / "turned.jpg", exif=turned)
    assert read_image(tmp_path / "turned.jpg").size == (3, 4)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    save_pair(path, None)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"must be readable, got .*cut\.png"):
        read_image(path)


def test_palette_labels_are_read_as_indices(tmp_path: Path) -> None:
    values = np.array([[0, 3], [255, 1]], np.uint8)
    image = Image.fromarray(values).convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "p.png")
    assert np.array_equal(read_label(tmp_path / "p.png"), values)
    Image.fromarray(values).save(tmp_path / "l.png")
    assert np.array_equal(read_label(tmp_path / "l.png"), values)


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 3), (4, 15)])
def test_grey_labels_of_few_bits_hold_what_was_written(
    tmp_path: Path, bits: int, top: int
) -> None:
    values = np.arange(top + 1, dtype=np.uint8)[None]
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:])
    write_png(tmp_path / "few.png", packed.tobytes(), width=top + 1, bits=bits)
    assert read_label(tmp_path / "few.png").tolist() == values.tolist()


def write_png(path: Path, row: bytes, *, width: int, bits: int) -> None:
    """Write a grey PNG of one row, as Pillow itself cannot."""
    header = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_image(tmp_path / "none.png")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} must hold images"):
        list_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere must be a folder"):
        list_images(tmp_path / "nowhere")


def test_images_are_found_in_folders_within_sorted_and_hidden_ones_left(
    tmp_path: Path,
) -> None:
    for name in ("b.JPG", "a/c.png", ".hidden.png"):
        save_pair(tmp_path / name, None)
    (tmp_path / "notes.txt").write_text("no image")
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a/c.png", "b.JPG"]


def test_an_error_tells_the_first_faults_and_counts_the_others() -> None:
    with pytest.raises(ValueError, match="fault 0") as error:
        raise_faults(f"fault {index}" for index in range(25))
    assert str(error.value).endswith("fault 19\nand 5 more")
    raise_faults([])
