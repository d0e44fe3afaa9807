"""Read trees of Pascal VOC: ``JPEGImages``, ``SegmentationClass``, ``labelmap.txt``."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.colors import default_palette
from lightning_classmix.datasets.image_io import open_image
from lightning_classmix.datasets.importers.annotations import (
    AnnotatedImage,
    Color,
    Dataset,
    Part,
)
from lightning_classmix.datasets.importers.image_finder import ImageFinder
from lightning_classmix.datasets.labels.labelmap_txt import (
    BORDER,
    LABELMAP_FILE,
    read_labelmap,
)
from lightning_classmix.ops import VOID

_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car"),
    *("cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def read_voc(source: Path, images: Path) -> Dataset:
    """Read a folder with the masks of classes; images without a mask are unlabeled.

    Colors are those of ``labelmap.txt``, else those of Pascal VOC. The lists ``val``
    and ``test`` in ``ImageSets/Segmentation`` name the images of validation and test.

    Raises:
        ValueError: If there are no masks.
    """
    folder = source / "SegmentationClass"
    masks = {path.stem: path for path in sorted(folder.glob("*.png"))}
    if not masks:
        boxes = len([*source.glob("Annotations/*.xml")])
        raise ValueError(
            f"{source} must hold masks in SegmentationClass/*.png, got none"
            + (f" but {boxes} files of boxes in Annotations" if boxes else "")
        )
    if (source / LABELMAP_FILE).is_file():
        colors = read_labelmap(source / LABELMAP_FILE)
    else:
        colors = dict(zip(_NAMES, default_palette(len(_NAMES)), strict=True))
    classes: dict[Color, int] = {
        color: index for index, color in enumerate(colors.values())
    }
    classes.setdefault(BORDER, VOID)
    parts: dict[str, Part] = {}
    for part in ("val", "test"):
        path = source / f"ImageSets/Segmentation/{part}.txt"
        if path.is_file():
            parts |= dict.fromkeys(path.read_text().split(), part)
    dataset = Dataset([*colors], [], colors=colors)
    finder = ImageFinder(images)
    for file in finder.paths:
        if file.parent.name in ("SegmentationClass", "SegmentationObject"):
            continue
        mask = masks.pop(file.stem, None)
        label = partial(_read_mask, mask, classes) if mask else None
        image = AnnotatedImage(file, file.stem, parts.get(file.stem, "train"))
        image.label = label
        dataset.images.append(image)
    dataset.faults += [f"{mask} has no image" for mask in masks.values()]
    return dataset


def _read_mask(path: Path, classes: dict[Color, int]) -> NDArray[np.uint8]:
    """Return the class of each color of a mask, uint8 ``(H, W)``."""
    pixels = np.asarray(open_image(path).convert("RGB")).astype(np.int64)
    values = pixels @ np.array([1 << 16, 1 << 8, 1])
    found, inverse = np.unique(values, return_inverse=True)
    table = {(r << 16) | (g << 8) | b: label for (r, g, b), label in classes.items()}
    unknown = [f"#{value:06x}" for value in found.tolist() if value not in table]
    if unknown:
        raise ValueError(
            f"a mask must hold the colors of {LABELMAP_FILE}, got"
            f" {', '.join(unknown[:5])} in {path}"
        )
    labels = np.array([table[value] for value in found.tolist()], dtype=np.uint8)
    return labels[inverse].reshape(values.shape)
