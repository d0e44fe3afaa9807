"""Read exports of Label Studio, in its format JSON."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lightning_classmix.datasets.importers.annotations import (
    AnnotatedImage,
    Annotation,
    Dataset,
)
from lightning_classmix.datasets.importers.brush import decode_brush
from lightning_classmix.datasets.importers.image_finder import ImageFinder
from lightning_classmix.datasets.importers.shapes import (
    Region,
    bitmap,
    box,
    ellipse,
    polygon,
)


def read_label_studio(source: Path, images: Path) -> Dataset:
    """Read a JSON export, or the JSON exports of a folder.

    Polygons, brushes and ellipses are read. Rectangles become void. Of several
    annotations of a task the first that was not canceled is used; predictions are not.

    Raises:
        ValueError: If there is no such file.
    """
    finder = ImageFinder(images)
    dataset = Dataset([], [])
    names: set[str] = set()
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    tasks = [(path, task) for path in files for task in _tasks(path)]
    if not tasks:
        raise ValueError(
            f"{source} must hold an export of Label Studio in the format JSON, a list"
            " of tasks with 'data' and 'annotations', got none"
        )
    for path, task in tasks:
        origin = f"{path}: task {task.get('id')}"
        try:
            file = _find(task["data"], finder, path.parent)
        except ValueError as error:
            dataset.faults.append(f"{origin}: {error}")
            continue
        answers = [a for a in task["annotations"] if not a.get("was_cancelled")]
        if len(answers) > 1:
            dataset.faults.append(
                f"{origin}: {len(answers)} annotations, of which the first is used"
            )
        results = answers[0].get("result", []) if answers else []
        annotations, size = _annotations(results, origin, dataset.faults)
        names |= {annotation.name for annotation in annotations}
        dataset.images.append(
            AnnotatedImage(file, finder.name(file), "train", size, annotations)
        )
    dataset.names = sorted(names)
    return dataset


def _tasks(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got {error}") from error
    return [
        task
        for task in (content if isinstance(content, list) else [])
        if isinstance(task, dict) and {"data", "annotations"} <= task.keys()
    ]


def _find(data: dict[str, Any], finder: ImageFinder, folder: Path) -> Path:
    """Return the image of a task: the first address in its data that is a file."""
    names = []
    for value in data.values():
        if not isinstance(value, str):
            continue
        address = urlsplit(value)
        local = parse_qs(address.query).get("d", [address.path])[0]
        names.append(unquote(local))
        # Uploads have a prefix of eight digits.
        names.append(re.sub(r"^[0-9a-f]{8}-", "", names[-1].rpartition("/")[2]))
    error = ValueError("the data must name an image, got none")
    for name in names:
        try:
            return finder.find(name, folder)
        except ValueError as missing:
            error = missing
    raise error


def _annotations(
    results: list[dict[str, Any]], origin: str, faults: list[str]
) -> tuple[list[Annotation], tuple[int, int] | None]:
    annotations = []
    size = None
    labels: dict[Any, list[str]] = {}
    for result in results:
        labels.setdefault(result.get("id"), []).extend(_labels(result))
    drawn = set()
    for result in results:
        value = result.get("value", {})
        kind = next(
            (k for k in ("rle", "points", "radiusX", "width", "x") if k in value), None
        )
        key = result.get("id", id(result))
        if kind is None or key in drawn:
            continue  # a choice, or the name of a region
        drawn.add(key)
        if result.get("original_height"):
            size = (result["original_height"], result["original_width"])
        named = [*dict.fromkeys(labels[result.get("id")])] or _labels(result)
        if len(named) != 1:
            faults.append(
                f"{origin}: object {key} must have one label, got {named or 'none'}"
            )
            continue
        problem = "a rectangle is a box" if kind == "width" else ""
        draw = partial(_rasterize, result, kind)
        annotations.append(Annotation(named[0], draw, problem))
    return annotations, size


def _labels(result: dict[str, Any]) -> list[str]:
    return [
        str(name)
        for key, names in result.get("value", {}).items()
        if key.endswith("labels") and isinstance(names, list)
        for name in names
    ]


def _rasterize(result: dict[str, Any], kind: str, height: int, width: int) -> Region:
    value = result["value"]
    if result.get("image_rotation"):
        raise ValueError(
            f"an image must not be rotated, got {result['image_rotation']} degrees"
        )
    if kind == "rle":
        return bitmap(decode_brush(value["rle"], height, width))
    across, down = width / 100, height / 100  # sides are in percent
    if kind == "points":
        corners = [(x * across, y * down) for x, y in value["points"]]
        return polygon([corners], height, width)
    if kind == "x":
        raise ValueError("a point has no area")
    left, top = value["x"] * across, value["y"] * down
    rotation = value.get("rotation", 0)
    if kind == "radiusX":
        radii = (value["radiusX"] * across, value["radiusY"] * down)
        return ellipse((left, top), radii, height, width, rotation=rotation)
    right, bottom = left + value["width"] * across, top + value["height"] * down
    return box(left, top, right, bottom, height, width)
