"""Write an annotated dataset as a folder that `FolderDataModule` reads."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import ExifTags, Image

from lightning_classmix.atomic import atomic_folder
from lightning_classmix.colors import default_palette
from lightning_classmix.datasets.image_io import image_header
from lightning_classmix.datasets.importers import shapes
from lightning_classmix.datasets.importers.annotations import (
    AnnotatedImage,
    Color,
    Dataset,
)
from lightning_classmix.datasets.importers.coco import read_coco
from lightning_classmix.datasets.importers.label_studio import read_label_studio
from lightning_classmix.datasets.importers.labelme import read_labelme
from lightning_classmix.datasets.importers.supervisely import read_supervisely
from lightning_classmix.datasets.importers.voc import read_voc
from lightning_classmix.ops import VOID

IMPORTERS: Mapping[str, Callable[[Path, Path], Dataset]] = {
    "coco": read_coco,
    "labelme": read_labelme,
    "labelstudio": read_label_studio,
    "supervisely": read_supervisely,
    "voc": read_voc,
}
"""Reader of each format: source and folder of the images to dataset."""

BACKGROUND_NAMES = ("background", "_background_")
VOID_NAMES = ("ignore", "__ignore__", "void")
_TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation, where sides are exchanged."""


@dataclass
class Written:
    """What was written."""

    counts: Counter[str] = field(default_factory=Counter)
    """Number of images by folder, such as ``val/images``."""
    faults: list[str] = field(default_factory=list)
    """What was not converted; each names its file."""
    overlap: float = 0.0
    """Share of the labeled pixels on which objects of several classes lie, [0, 1]."""


def write_folder(dataset: Dataset, out: Path, *, background: str | None) -> Written:
    """Write images, labels and ``classes.yaml``; after an error nothing is left.

    Where objects overlap, the smaller one by its number of pixels is on top; of two of
    one size the later one. An image without any object is unlabeled.

    Args:
        dataset: The annotated dataset.
        out: Folder to write to.
        background: Name of the class of all pixels without an object, class 0; None
            makes them void.

    Raises:
        ValueError: If there are more than 255 classes, or none.
    """
    with atomic_folder(out) as temporary:
        return _write(dataset, temporary, background)


def _write(dataset: Dataset, out: Path, background: str | None) -> Written:
    names = _class_names(dataset, background)
    classes = {name: index for index, name in enumerate(names)}
    for name in dataset.names:
        if name.lower() in VOID_NAMES:
            classes[name] = VOID
        elif background is not None and name.lower() in BACKGROUND_NAMES:
            classes[name] = 0
    written = Written(faults=[*dataset.faults])
    pixels, overlapped = 0, 0
    taken: set[Path] = set()
    for image in dataset.images:
        labeled = bool(image.annotations) or image.label is not None
        folder = "images" if labeled else "unlabeled"
        if labeled and image.part != "train":
            folder = f"{image.part}/images"
        target = out / folder / f"{image.name}{image.path.suffix}"
        label_path = out / folder.replace("images", "labels") / f"{image.name}.png"
        if label_path in taken:
            written.faults.append(f"{image.path}: the name {image.name} is taken")
            continue
        taken.add(label_path)
        try:
            label, double = _label(image, classes, background, written.faults)
        except (ValueError, OSError) as error:
            written.faults.append(f"{image.path}: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(image.path, target)
        if label is not None:
            label_path.parent.mkdir(parents=True, exist_ok=True)
            _save(label, label_path, _palette(names, dataset.colors))
            pixels += label.size
            overlapped += double
        written.counts[folder] += 1
    written.overlap = overlapped / max(1, pixels)
    content = {"class_names": names, "palette": _palette(names, dataset.colors)}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (out / "classes.yaml").write_text(text, encoding="utf-8")
    return written


def _class_names(dataset: Dataset, background: str | None) -> list[str]:
    names = [name for name in dataset.names if name.lower() not in VOID_NAMES]
    drawn = all(image.label is None for image in dataset.images)
    if drawn and background is not None:
        names = [name for name in names if name.lower() not in BACKGROUND_NAMES]
        names = [background, *(name for name in names if name != background)]
    if not 2 <= len(names) <= VOID:
        raise ValueError(
            f"there must be 2 to {VOID} classes with the background, got {len(names)}:"
            f" {', '.join(names[:5])}"
        )
    return names


def _label(
    image: AnnotatedImage,
    classes: Mapping[str, int],
    background: str | None,
    faults: list[str],
) -> tuple[NDArray[np.uint8] | None, int]:
    """Return the label map of an image, and the pixels with several classes."""
    if image.label is not None:
        return image.label(), 0
    with image_header(image.path) as file:
        width, height = file.size
        orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
    if not image.annotations:
        return None, 0
    turn = _TURNS.get(orientation)
    upright = (width, height) if turn else (height, width)
    size = tuple(image.size or upright)
    if size not in (upright, (height, width)):
        raise ValueError(
            f"the annotations must be of the size of the image (height x width),"
            f" {upright[0]} x {upright[1]}, got {size[0]} x {size[1]}"
        )
    label, double = _paint(image, size, classes, background, faults)
    if turn and size != upright:  # annotated as stored, but images are read upright
        label = np.asarray(Image.fromarray(label).transpose(turn))
    return label, double


def _paint(
    image: AnnotatedImage,
    size: tuple[int, ...],
    classes: Mapping[str, int],
    background: str | None,
    faults: list[str],
) -> tuple[NDArray[np.uint8], int]:
    height, width = size
    regions = []
    for number, annotation in enumerate(image.annotations, start=1):
        source = f"{image.path}: object {number} ({annotation.name})"
        try:
            region = annotation.rasterize(height, width)
            area = shapes.area(region)
        except (ValueError, TypeError, KeyError, OSError) as error:
            faults.append(f"{source}: {error}")
            continue
        if not area:
            faults.append(f"{source}: it covers no pixel")
            continue
        if annotation.problem:
            faults.append(f"{source}: {annotation.problem}; its pixels are void")
        index = VOID if annotation.problem else classes[annotation.name]
        regions.append((area, region, index))
    label = np.full((height, width), VOID if background is None else 0, np.uint8)
    covered = np.zeros((height, width), dtype=bool)
    several = np.zeros((height, width), dtype=bool)
    for _, region, index in sorted(regions, key=lambda each: -each[0]):
        inside = shapes.pixels(region)
        several |= inside & covered & (label != index)
        covered |= inside
        label[inside] = index
    return label, int(several.sum())


def _palette(names: list[str], colors: Mapping[str, Color]) -> list[list[int]]:
    """Return the colors of the dataset, and others where it has none or not enough."""
    spare = iter(default_palette(VOID))
    used = {tuple(colors[name]) for name in names if name in colors}
    palette: list[list[int]] = []
    seen: set[tuple[int, ...]] = set()
    for name in names:
        color = colors.get(name)
        if color is None or tuple(color) in seen:
            color = next(c for c in spare if c not in used and c not in seen)
        seen.add(tuple(color))
        palette.append([*color])
    return palette


def _save(label: NDArray[np.uint8], path: Path, palette: list[list[int]]) -> None:
    image = Image.fromarray(label).convert("P")
    # Of a shorter palette Pillow would store fewer bits, and void as another class.
    whole = [*palette, *[[255, 255, 255]] * (VOID + 1 - len(palette))]
    image.putpalette(np.array(whole, np.uint8).tobytes())
    image.save(path, format="PNG")
