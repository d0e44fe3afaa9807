"""Rasterize outlines and masks; the only module that imports pycocotools."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Region: TypeAlias = Any
"""Pixels of an object: a run-length encoding of pycocotools."""
Point: TypeAlias = Sequence[float]


def _mask() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise RuntimeError(
            "convert must have the package pycocotools, got none; run pip install"
            " 'lightning-classmix[convert]'"
        ) from error
    return mask


def polygon(
    outlines: Sequence[Sequence[Point]],
    height: int,
    width: int,
    *,
    holes: Sequence[Sequence[Point]] = (),
) -> Region:
    """Return the pixels inside of any outline and outside of all holes.

    Args:
        outlines: Corners (x, y) in pixels of each outline; (0, 0) is the top left
            corner of the image.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        holes: Corners of each hole.

    Raises:
        ValueError: If an outline has fewer than three corners.

    Example:
        >>> region = polygon([[(1, 0), (3, 0), (3, 2), (1, 2)]], 3, 4)
        >>> pixels(region).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    mask = _mask()
    merged = []
    for corners_of_all in (outlines, holes):
        flat = []
        for corners in corners_of_all:
            if len(corners) < 3:
                raise ValueError(
                    f"an outline must have at least 3 corners, got {len(corners)}"
                )
            flat.append([float(value) for x, y in corners for value in (x, y)])
        merged.append(
            mask.merge(mask.frPyObjects(flat, height, width)) if flat else None
        )
    region, hole = merged
    if region is None:
        raise ValueError("an object must have an outline, got none")
    return region if hole is None else bitmap(pixels(region) & ~pixels(hole))


def box(
    left: float, top: float, right: float, bottom: float, height: int, width: int
) -> Region:
    """Return the pixels of a box; its sides are in pixels."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return polygon([corners], height, width)


def ellipse(
    center: Point,
    radii: Point,
    height: int,
    width: int,
    *,
    rotation: float = 0.0,
) -> Region:
    """Return the pixels of an ellipse, as a polygon of 128 corners.

    Args:
        center: Center (x, y) in pixels.
        radii: Horizontal and vertical radius in pixels.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        rotation: Angle in degrees, clockwise.
    """
    turned = math.radians(rotation)
    corners = []
    for index in range(128):
        angle = 2 * math.pi * index / 128
        x, y = radii[0] * math.cos(angle), radii[1] * math.sin(angle)
        corners.append(
            (
                center[0] + x * math.cos(turned) - y * math.sin(turned),
                center[1] + x * math.sin(turned) + y * math.cos(turned),
            )
        )
    return polygon([corners], height, width)


def bitmap(inside: NDArray[np.bool_]) -> Region:
    """Return the pixels of a mask, bool ``(H, W)``."""
    return _mask().encode(np.asfortranarray(inside, dtype=np.uint8))


def pasted(
    inside: NDArray[np.bool_], left: int, top: int, height: int, width: int
) -> Region:
    """Return the pixels of a small mask at a position in an image."""
    whole = np.zeros((height, width), dtype=bool)
    rows, columns = inside.shape
    cut = inside[max(0, -top) : height - top, max(0, -left) : width - left]
    first, second = max(0, top), max(0, left)
    if not cut.size or rows + top <= 0 or columns + left <= 0:
        raise ValueError(f"a mask must lie in the image, got it at ({left}, {top})")
    whole[first : first + cut.shape[0], second : second + cut.shape[1]] = cut
    return bitmap(whole)


def coco_region(segmentation: Any, height: int, width: int) -> Region:
    """Return the pixels of a COCO segmentation: polygons, or runs of either kind.

    Raises:
        ValueError: If it is of another form or another size.
    """
    if isinstance(segmentation, list):
        lists = segmentation
        if lists and not isinstance(lists[0], list):
            lists = [lists]
        outlines = [list(zip(flat[::2], flat[1::2], strict=True)) for flat in lists]
        return polygon(outlines, height, width)
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if counts is None:
        raise ValueError("a segmentation must be polygons or run lengths")
    if [*segmentation.get("size", [])] != [height, width]:
        raise ValueError(
            f"run lengths must have the size of the image, {[height, width]}, got"
            f" {segmentation.get('size')}"
        )
    if isinstance(counts, list):
        if sum(counts) != height * width:
            raise ValueError(
                f"run lengths must cover {height * width} pixels, got {sum(counts)}"
            )
        return _mask().frPyObjects(segmentation, height, width)
    return segmentation


def area(region: Region) -> int:
    """Return the number of pixels."""
    return int(_mask().area(region))


def pixels(region: Region) -> NDArray[np.bool_]:
    """Return the pixels as bool ``(H, W)``."""
    with warnings.catch_warnings():
        # pycocotools 2.0.11 makes arrays in the way of NumPy 1.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept")
        return np.asarray(_mask().decode(region)).astype(bool)
