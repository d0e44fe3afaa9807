"""Read COCO instance annotations: polygons, and run lengths of either kind."""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from lightning_classmix.datasets.importers.annotations import (
    AnnotatedImage,
    Annotation,
    Dataset,
)
from lightning_classmix.datasets.importers.image_finder import ImageFinder, part_of
from lightning_classmix.datasets.importers.shapes import Region, box, coco_region


def read_coco(source: Path, images: Path) -> Dataset:
    """Read a JSON file, or all COCO files of a folder.

    Files named ``val`` or ``test``, or in such folders, are those sets. Objects
    that have a box but no segmentation become void.

    Raises:
        ValueError: If there is no COCO file, or two files number classes differently.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    read = {path: _read(path) for path in files}
    contents = {path: content for path, content in read.items() if content}
    if not contents:
        raise ValueError(
            f"{source} must hold JSON with 'images', 'annotations' and 'categories',"
            " got no such file"
        )
    categories: dict[int, str] = {}
    for path, content in contents.items():
        for category in content["categories"]:
            name = categories.setdefault(category["id"], str(category["name"]))
            if name != category["name"]:
                raise ValueError(
                    f"category {category['id']} must have one name, got {name} and"
                    f" {category['name']} in {path}"
                )
    ordered = [categories[key] for key in sorted(categories)]
    dataset = Dataset([*dict.fromkeys(ordered)], [])
    finder = ImageFinder(images)
    for path, content in contents.items():
        _add(dataset, path, content, categories, finder, source)
    return dataset


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a COCO file; None for another JSON file."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got {error}") from error
    keys = {"images", "annotations", "categories"}
    whole = isinstance(content, dict) and keys <= content.keys()
    return content if whole else None


def _add(
    dataset: Dataset,
    path: Path,
    content: dict[str, Any],
    categories: dict[int, str],
    finder: ImageFinder,
    source: Path,
) -> None:
    objects = defaultdict(list)
    for entry in content["annotations"]:
        objects[entry["image_id"]].append(entry)
    below = path.relative_to(source).parts[:-1] if path != source else ()
    part: Any = part_of(*below, path.stem)
    for entry in content["images"]:
        size = None
        if entry.get("height") and entry.get("width"):
            size = (int(entry["height"]), int(entry["width"]))
        entries = objects.pop(entry["id"], [])
        try:
            file = finder.find(str(entry["file_name"]), path.parent)
        except ValueError as error:
            dataset.faults.append(f"{path}: {error}")
            continue
        annotations = []
        for each in entries:
            if each["category_id"] not in categories:
                dataset.faults.append(
                    f"{file}: object {each.get('id')} has the unknown category"
                    f" {each['category_id']}"
                )
                continue
            annotations.append(_annotation(each, categories[each["category_id"]]))
        name = finder.name(file)
        dataset.images.append(AnnotatedImage(file, name, part, size, annotations))
    dataset.faults += [
        f"{path}: {len(entries)} objects of image {image}, which is not in 'images'"
        for image, entries in objects.items()
    ]


def _annotation(entry: dict[str, Any], name: str) -> Annotation:
    if entry.get("segmentation"):
        return Annotation(name, partial(coco_region, entry["segmentation"]))

    def bounds(height: int, width: int) -> Region:
        if not entry.get("bbox"):
            raise ValueError("an object must have a segmentation, got none")
        left, top, columns, rows = entry["bbox"]
        return box(left, top, left + columns, top + rows, height, width)

    return Annotation(name, bounds, "a box without segmentation")
