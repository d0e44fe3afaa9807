"""Read Supervisely projects: ``meta.json``, and datasets of ``img`` and ``ann``."""

import base64
import io
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightning_classmix.datasets.importers.annotations import (
    AnnotatedImage,
    Annotation,
    Dataset,
)
from lightning_classmix.datasets.importers.image_finder import ImageFinder, part_of
from lightning_classmix.datasets.importers.shapes import Region, box, pasted, polygon


def read_supervisely(source: Path, images: Path) -> Dataset:
    """Read a project folder.

    Polygons with holes and bitmaps are read. Rectangles become void; points and lines
    have no area. Datasets named ``val`` and ``test`` are those sets.

    Raises:
        ValueError: If there is no ``meta.json``, or no annotation.
    """
    meta = source / "meta.json"
    if not meta.is_file():
        raise ValueError(f"{source} must hold meta.json of Supervisely, got none")
    classes = json.loads(meta.read_bytes())["classes"]
    dataset = Dataset([entry["title"] for entry in classes], [])
    for entry in classes:
        value = str(entry.get("color", "")).removeprefix("#")
        if len(value) == 6:
            red, green, blue = bytes.fromhex(value)
            dataset.colors[entry["title"]] = (red, green, blue)
    files = sorted(path for path in source.rglob("ann/*.json"))
    if not files:
        raise ValueError(f"{source} must hold ann/*.json in its datasets, got none")
    finder = ImageFinder(images)
    for path in files:
        content = json.loads(path.read_bytes())
        folder = path.parents[1]
        try:
            file = finder.find(path.stem, folder / "img")
        except ValueError as error:
            dataset.faults.append(f"{path}: {error}")
            continue
        annotations = []
        for entry in content.get("objects", []):
            if entry["classTitle"] not in dataset.names:
                dataset.faults.append(
                    f"{path}: the class {entry['classTitle']} is not in {meta}"
                )
                continue
            annotations.append(_annotation(entry))
        size = content.get("size")
        below = folder.relative_to(source).parts
        part: Any = part_of(*below)
        dataset.images.append(
            AnnotatedImage(
                file,
                "/".join((*below, file.stem)),
                part,
                size and (size["height"], size["width"]),
                annotations,
            )
        )
    return dataset


def _annotation(entry: dict[str, Any]) -> Annotation:
    kind = entry.get("geometryType") or ("bitmap" if entry.get("bitmap") else "polygon")
    problem = "a rectangle is a box" if kind == "rectangle" else ""
    return Annotation(entry["classTitle"], partial(_rasterize, entry, kind), problem)


def _rasterize(entry: dict[str, Any], kind: str, height: int, width: int) -> Region:
    if kind == "bitmap":
        data = zlib.decompress(base64.b64decode(entry["bitmap"]["data"]))
        picture = Image.open(io.BytesIO(data))
        channel = picture.getchannel("A") if "A" in picture.mode else picture
        left, top = entry["bitmap"]["origin"]
        return pasted(np.asarray(channel) > 0, left, top, height, width)
    if kind == "polygon":
        points = entry["points"]
        holes = points.get("interior", [])
        return polygon([points["exterior"]], height, width, holes=holes)
    if kind == "rectangle":
        corners = zip(*entry["points"]["exterior"], strict=True)
        (left, right), (top, bottom) = (sorted(axis) for axis in corners)
        return box(left, top, right, bottom, height, width)
    raise ValueError(f"a {kind} has no area")
