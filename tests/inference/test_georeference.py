import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.inference.georeference import write_georeferenced

rasterio = pytest.importorskip("rasterio")

PALETTE = [(0, 0, 0), (10, 20, 30), (200, 100, 0)]
LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3


def geotiff(path: Path, **options: Any) -> Path:
    options = {
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(2, 0, 5e5, 0, -2, 5e6),
    } | options
    with rasterio.open(
        path, "w", driver="GTiff", height=3, width=4, count=3, dtype="uint8", **options
    ) as file:
        file.write(np.zeros((3, 3, 4), np.uint8))
    return path


def test_a_label_map_has_the_georeference_of_its_image(tmp_path: Path) -> None:
    source = geotiff(tmp_path / "image.tif")
    assert write_georeferenced(tmp_path / "label.tif", LABEL, source, PALETTE)
    with rasterio.open(tmp_path / "label.tif") as file, rasterio.open(source) as image:
        assert file.crs == image.crs
        assert file.crs.to_epsg() == 32633
        assert file.transform == image.transform
        assert np.array_equal(file.read(1), LABEL)
        assert file.colormap(1)[2] == (200, 100, 0, 255)


def test_ground_control_points_are_kept(tmp_path: Path) -> None:
    points = [
        rasterio.control.GroundControlPoint(row, column, 10.0 + column, 50.0 - row)
        for row, column in ((0, 0), (0, 4), (3, 0), (3, 4))
    ]
    source = geotiff(
        tmp_path / "image.tif", gcps=points, crs="EPSG:4326", transform=None
    )
    assert write_georeferenced(tmp_path / "label.tif", LABEL, source, PALETTE)
    with rasterio.open(tmp_path / "label.tif") as file:
        found, crs = file.gcps
    assert crs.to_epsg() == 4326
    assert [(p.row, p.col, p.x, p.y) for p in found] == [
        (p.row, p.col, p.x, p.y) for p in points
    ]


@pytest.mark.parametrize("name", ["image.png", "image.tif"])
def test_an_image_without_georeference_gets_no_geotiff(
    tmp_path: Path, name: str
) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / name)
    out = tmp_path / "label.tif"
    assert not write_georeferenced(out, LABEL, tmp_path / name, PALETTE)
    assert not out.exists()


def test_a_missing_package_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = geotiff(tmp_path / "image.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.warns(UserWarning, match=r"install lightning-classmix\[geo\]"):
        assert not write_georeferenced(tmp_path / "x.tif", LABEL, source, PALETTE)
    assert not (tmp_path / "x.tif").exists()
