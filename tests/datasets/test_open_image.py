from pathlib import Path

import pytest
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES, open_image


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_the_limit_of_pillow_is_neither_used_nor_changed(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (30, 20)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError), Image.open(path):
        pass
    assert open_image(path).size == (30, 20)
    assert Image.MAX_IMAGE_PIXELS == 100
    message = f"max_image_pixels = 599 pixels, got 30 x 20 in {path}; raise max_image"
    with pytest.raises(ValueError, match=message):
        open_image(path, max_pixels=599)
    assert open_image(path, max_pixels=600).mode == "RGB"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_limit_of_a_data_module_holds_for_images_and_labels(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        Image.new("L", (30, 20)).save(tmp_path / f"{part}/a{suffix}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    small = FolderDataModule(tmp_path, 2, max_image_pixels=599)
    message = r"max_image_pixels = 599 pixels, got 30 x 20 in .*/{}/a"
    with pytest.warns(UserWarning, match="nothing is validated"):
        files = small.files.labeled
    with pytest.raises(ValueError, match=message.format("images")):
        files.read_image(0)
    with pytest.raises(ValueError, match=message.format("labels")):
        files.raw_label(0)
    bands = files.read_with(4, 599)
    if suffix == ".tif":
        with pytest.raises(ValueError, match=message.format("images")):
            bands.read_image(0)
    whole = files.read_with(3, 600)
    assert whole.take([0])[0]["image"].shape == (20, 30, 3)


def test_a_file_of_an_unknown_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"got .*a\.png: its format is unknown"):
        open_image(tmp_path / "a.png")
