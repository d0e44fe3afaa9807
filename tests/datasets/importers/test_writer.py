"""Each format is written as the same folder: the pixels of the drawn shapes."""

import base64
import io
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.importers.writer import (
    IMPORTERS,
    Written,
    write_folder,
)

SIZE = (8, 12)  # height, width
SQUARE = [(2, 1), (8, 1), (8, 7), (2, 7)]  # 36 pixels
SMALL = [(4, 3), (6, 3), (6, 5), (4, 5)]  # 4 pixels, inside
EXPECTED = np.zeros(SIZE, np.uint8)
EXPECTED[1:7, 2:8] = 1
EXPECTED[3:5, 4:6] = 2


def save_image(path: Path, size: tuple[int, int] = SIZE, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path, **options)


def save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def png(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def flat(points: list[tuple[int, int]]) -> list[int]:
    return [value for point in points for value in point]


def convert(kind: str, source: Path, background: str | None = "background") -> Written:
    folder = source.parent if source.is_file() else source
    dataset = IMPORTERS[kind](source, folder)
    return write_folder(dataset, folder.parent / "out", background=background)


def label(root: Path, name: str = "a") -> NDArray[Any]:
    return np.asarray(Image.open(root / "out/labels" / f"{name}.png"))


def coco(images: list[Any], annotations: list[Any]) -> dict[str, Any]:
    categories = [{"id": 7, "name": "hut"}, {"id": 3, "name": "road"}]
    return {
        "categories": categories,
        "images": [
            {"height": SIZE[0], "width": SIZE[1], "id": number, "file_name": name}
            for number, name in enumerate(images)
        ],
        "annotations": [
            {"id": number, "image_id": 0, **entry}
            for number, entry in enumerate(annotations)
        ],
    }


def make_coco(root: Path) -> Path:
    entries = [
        {"category_id": 7, "segmentation": [flat(SMALL)]},
        {"category_id": 3, "segmentation": [flat(SQUARE)]},
    ]
    save_json(root / "annotations.json", coco(["a.png", "b.png"], entries))
    return root / "annotations.json"


def make_labelme(root: Path) -> Path:
    small = [
        {"label": "tree", "points": SMALL, "shape_type": "polygon"},
        {"label": "road", "points": SQUARE, "shape_type": "polygon"},
    ]
    save_json(root / "a.json", {"imagePath": "..\\photos\\a.png", "shapes": small})
    return root


def make_labelstudio(root: Path) -> Path:
    def result(number: int, points: list[Any], name: str) -> dict[str, Any]:
        height, width = SIZE
        percent = [(100 * x / width, 100 * y / height) for x, y in points]
        return {
            "id": number,
            "type": "polygonlabels",
            "original_width": width,
            "original_height": height,
            "value": {"points": percent, "polygonlabels": [name]},
        }

    results = [result(0, SMALL, "tree"), result(1, SQUARE, "road")]
    tasks = [
        {
            "id": 1,
            "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
            "annotations": [{"was_cancelled": True, "result": []}, {"result": results}],
        },
        {"id": 2, "data": {"image": "/data/local-files/?d=x/b.png"}, "annotations": []},
    ]
    save_json(root / "export.json", tasks)
    return root / "export.json"


def make_supervisely(root: Path) -> Path:
    bitmap = base64.b64encode(zlib.compress(png(np.full((2, 2), 255, np.uint8))))
    objects = [
        {
            "classTitle": "tree",
            "geometryType": "bitmap",
            "bitmap": {"data": bitmap.decode(), "origin": [4, 3]},
        },
        {
            "classTitle": "road",
            "geometryType": "polygon",
            "points": {"exterior": SQUARE, "interior": []},
        },
    ]
    classes = [{"title": n, "color": c} for n, c in (("road", "#010203"), ("tree", ""))]
    save_json(root / "meta.json", {"classes": classes})
    save_json(root / "ann/a.png.json", {"objects": objects})
    save_json(root / "ann/b.png.json", {"objects": []})
    for name in "ab":
        (root / f"{name}.png").unlink()
        save_image(root / "img" / f"{name}.png")
    return root


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("coco", make_coco),
        ("labelme", make_labelme),
        ("labelstudio", make_labelstudio),
        ("supervisely", make_supervisely),
    ],
)
def test_a_smaller_object_is_on_top_whatever_the_order(
    kind: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = tmp_path / "in"
    for name in "ab":
        save_image(root / f"{name}.png")
    written = convert(kind, make(root))
    assert not written.faults
    assert np.array_equal(label(tmp_path), EXPECTED)
    assert written.overlap == 4 / EXPECTED.size
    content = yaml.safe_load((tmp_path / "out/classes.yaml").read_text())
    last = "hut" if kind == "coco" else "tree"
    assert content["class_names"] == ["background", "road", last]
    if kind == "supervisely":
        assert content["palette"][1] == [1, 2, 3]
    assert written.counts == {"images": 1, "unlabeled": 1}
    assert (tmp_path / "out/unlabeled/b.png").is_file()


def test_run_lengths_of_coco_are_read_column_by_column(tmp_path: Path) -> None:
    save_image(tmp_path / "in/a.png", (3, 4))
    runs = {"size": [3, 4], "counts": [4, 3, 5]}  # from the second row of column 1
    entries = [{"category_id": 3, "segmentation": runs, "iscrowd": 1}]
    content = coco(["a.png"], entries)
    content["images"][0] |= {"height": 3, "width": 4}
    save_json(tmp_path / "in/a.json", content)
    convert("coco", tmp_path / "in/a.json")
    assert label(tmp_path).tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_what_is_not_converted_is_listed_and_boxes_become_void(tmp_path: Path) -> None:
    save_image(tmp_path / "in/a.png")
    entries = [
        {"category_id": 3, "segmentation": [], "bbox": [1, 2, 3, 4]},
        {"category_id": 3, "segmentation": [[1, 1, 2, 2]]},
        {"category_id": 9, "segmentation": [flat(SQUARE)]},
        {"category_id": 3, "image_id": 5, "segmentation": [flat(SQUARE)]},
        {"category_id": 3, "segmentation": {"size": [1, 1], "counts": [1]}},
    ]
    save_json(tmp_path / "in/a.json", coco(["a.png", "missing.png"], entries))
    written = convert("coco", tmp_path / "in/a.json")
    faults = "\n".join(written.faults)
    for part in (
        "unknown category 9",
        "the image missing.png must be in",
        "1 objects of image 5, which is not in 'images'",
        "object 1 (road): a box without segmentation; its pixels are void",
        "object 2 (road): an outline must have at least 3 corners, got 2",
        "object 3 (road): run lengths must have the size of the image",
    ):
        assert part in faults
    assert len(written.faults) == 6
    void = np.zeros(SIZE, bool)
    void[2:6, 1:4] = True
    assert np.array_equal(label(tmp_path) == 255, void)


def test_splits_are_taken_from_the_names_of_files_and_folders(tmp_path: Path) -> None:
    entries = [{"category_id": 3, "segmentation": [flat(SQUARE)]}]
    for folder in ("train", "valid", "test"):
        save_image(tmp_path / "in" / folder / "a.png")
        path = tmp_path / "in" / folder / "_annotations.coco.json"
        save_json(path, coco(["a.png"], entries))
    counts = convert("coco", tmp_path / "in").counts
    assert counts == {"images": 1, "val/images": 1, "test/images": 1}
    assert (tmp_path / "out/val/labels/valid/a.png").is_file()


@pytest.mark.parametrize("upright", [True, False])
def test_an_image_turned_by_exif_data_has_an_upright_label(
    upright: bool, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left
    save_image(tmp_path / "in/a.jpg", SIZE, exif=exif)
    size = SIZE[::-1] if upright else SIZE
    corner = [(0, 0), (2, 0), (2, 1), (0, 1)]
    shapes = [{"label": "road", "points": corner}]
    content = {"imagePath": "a.jpg", "imageHeight": size[0], "imageWidth": size[1]}
    save_json(tmp_path / "in/a.json", content | {"shapes": shapes})
    assert not convert("labelme", tmp_path / "in").faults
    expected = np.zeros(SIZE, np.uint8)
    expected[0, :2] = 1
    stored = np.rot90(expected, -1)
    if upright:
        stored = np.zeros(SIZE[::-1], np.uint8)
        stored[0, :2] = 1
    assert np.array_equal(label(tmp_path), stored)


def test_annotations_of_another_size_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "in/a.png")
    shapes = [{"label": "road", "points": SQUARE}]
    content = {"imagePath": "a.png", "imageHeight": 4, "imageWidth": 6}
    save_json(tmp_path / "in/a.json", content | {"shapes": shapes})
    (fault,) = convert("labelme", tmp_path / "in").faults
    assert "a.png: the annotations must be of the size of the image" in fault
    assert "8 x 12, got 4 x 6" in fault


def test_circles_and_masks_of_labelme_are_read_and_lines_are_listed(
    tmp_path: Path,
) -> None:
    save_image(tmp_path / "in/a.png", (40, 40))
    mask = base64.b64encode(png(np.full((2, 3), 255, np.uint8))).decode()
    shapes = [
        {"label": "c", "shape_type": "circle", "points": [(20, 20), (20, 30)]},
        {"label": "m", "shape_type": "mask", "points": [(1, 2), (3, 3)], "mask": mask},
        {"label": "l", "shape_type": "linestrip", "points": [(1, 2), (3, 3)]},
    ]
    save_json(tmp_path / "in/a.json", {"imagePath": "a.png", "shapes": shapes})
    (fault,) = convert("labelme", tmp_path / "in").faults
    assert "object 3 (l): a linestrip has no area" in fault
    read = label(tmp_path)
    assert abs((read == 1).sum() / (np.pi * 100) - 1) < 0.02
    positions = np.argwhere(read == 3)
    assert [*positions.min(0), *positions.max(0)] == [2, 1, 3, 3]
    assert len(positions) == 6


def test_pixels_without_an_object_are_void_without_a_background(tmp_path: Path) -> None:
    save_image(tmp_path / "in/a.png")
    convert("labelme", make_labelme(tmp_path / "in"), background=None)
    assert np.array_equal(label(tmp_path), np.where(EXPECTED, EXPECTED - 1, 255))


def test_colors_of_voc_are_read_from_the_label_map(tmp_path: Path) -> None:
    root = tmp_path / "in"
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    for name in "abc":
        save_image(root / f"JPEGImages/{name}.jpg")
    (root / "SegmentationClass").mkdir()
    for name in "ab":
        mask = Image.fromarray(colors[EXPECTED])
        mask.save(root / f"SegmentationClass/{name}.png")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("b\n")
    lines = "background:0,0,0::\ncrack:250,50,83::\npatch:51,221,255::\n"
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + lines)
    written = convert("voc", root)
    assert not written.faults
    assert written.counts == {"images": 1, "val/images": 1, "unlabeled": 1}
    assert np.array_equal(label(tmp_path), EXPECTED)
    content = yaml.safe_load((tmp_path / "out/classes.yaml").read_text())
    assert content["class_names"] == ["background", "crack", "patch"]


def test_a_color_that_is_not_in_the_label_map_is_named(tmp_path: Path) -> None:
    save_image(tmp_path / "in/JPEGImages/a.jpg")
    mask = np.zeros((*SIZE, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
    (tmp_path / "in/SegmentationClass").mkdir()
    Image.fromarray(mask).save(tmp_path / "in/SegmentationClass/a.png")
    (fault,) = convert("voc", tmp_path / "in").faults
    assert "got #010203 in" in fault


@pytest.mark.parametrize("kind", sorted(IMPORTERS))
def test_a_folder_of_another_format_is_refused(kind: str, tmp_path: Path) -> None:
    save_image(tmp_path / "in/a.png")
    save_json(tmp_path / "in/other.json", {"other": 1})
    with pytest.raises(ValueError, match=r"must hold .*got no"):
        IMPORTERS[kind](tmp_path / "in", tmp_path / "in")


def test_without_pycocotools_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(tmp_path / "in/a.png")
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(RuntimeError, match=r"install 'lightning-classmix\[convert"):
        convert("labelme", make_labelme(tmp_path / "in"))
