from pathlib import Path

import pytest
from PIL import Image

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
    message = f"got {path}: it has 30 x 20 pixels, more than max_image_pixels = 599"
    with pytest.raises(ValueError, match=f"{message}; raise max_image_pixels"):
        open_image(path, max_pixels=599)
    assert open_image(path, max_pixels=600).mode == "RGB"


def test_a_file_of_an_unknown_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"got .*a\.png: its format is unknown"):
        open_image(tmp_path / "a.png")
