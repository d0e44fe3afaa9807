"""Read LabelMe annotations: one JSON file for each image."""

import base64
import io
import json
import math
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
from lightning_classmix.datasets.importers.shapes import (
    Region,
    box,
    ellipse,
    pasted,
    polygon,
)


def read_labelme(source: Path, images: Path) -> Dataset:
    """Read all LabelMe files of a folder; images without a file are unlabeled.

    Polygons, circles and masks are read. Rectangles become void; points and lines have
    no area.

    Raises:
        ValueError: If there is no LabelMe file.
    """
    finder = ImageFinder(images)
    dataset = Dataset([], [])
    names: set[str] = set()
    seen: set[Path] = set()
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    for path in files:
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            dataset.faults.append(f"{path} must be JSON, got {error}")
            continue
        if not isinstance(content, dict) or "shapes" not in content:
            continue
        try:
            file = finder.find(str(content.get("imagePath")), path.parent)
        except ValueError as error:
            dataset.faults.append(f"{path}: {error}")
            continue
        size = None
        if content.get("imageHeight") and content.get("imageWidth"):
            size = (content["imageHeight"], content["imageWidth"])
        annotations = [_annotation(shape) for shape in content["shapes"]]
        names |= {annotation.name for annotation in annotations}
        seen.add(file)
        dataset.images.append(_image(finder, file, size, annotations))
    if not seen and not dataset.faults:
        raise ValueError(
            f"{source} must hold JSON files of LabelMe, with 'shapes', got none"
        )
    dataset.names = sorted(names)
    rest = (file for file in finder.paths if file not in seen)
    dataset.images += [_image(finder, file, None, []) for file in rest]
    return dataset


def _image(
    finder: ImageFinder,
    file: Path,
    size: tuple[int, int] | None,
    annotations: list[Annotation],
) -> AnnotatedImage:
    name = finder.name(file)
    part: Any = part_of(*name.split("/")[:-1])
    return AnnotatedImage(file, name, part, size, annotations)


def _annotation(shape: dict[str, Any]) -> Annotation:
    kind = shape.get("shape_type") or "polygon"
    problem = "a rectangle is a box" if kind == "rectangle" else ""
    return Annotation(str(shape["label"]), partial(_rasterize, shape, kind), problem)


def _rasterize(shape: dict[str, Any], kind: str, height: int, width: int) -> Region:
    points = shape["points"]
    if kind == "polygon":
        return polygon([points], height, width)
    if kind == "rectangle":
        sides = (sorted(axis) for axis in zip(*points, strict=True))
        (left, right), (top, bottom) = sides
        return box(left, top, right, bottom, height, width)
    if kind == "circle":
        radius = math.dist(*points)
        return ellipse(points[0], (radius, radius), height, width)
    if kind == "mask":
        content = base64.b64decode(shape["mask"])
        inside = np.asarray(Image.open(io.BytesIO(content))) > 0
        left, top = (round(value) for value in points[0])
        return pasted(inside, left, top, height, width)
    raise ValueError(f"a {kind} has no area")
