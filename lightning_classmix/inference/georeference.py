"""Write label maps of georeferenced images, GeoTIFF to GeoTIFF."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.atomic import atomic_file
from lightning_classmix.datasets.image_io import image_header

_TAGS = {33550, 33922, 34264, 34735}
"""Tags of a GeoTIFF: pixel scale, tie points, transformation and geographic keys."""


def write_georeferenced(
    path: Path,
    label: NDArray[np.uint8],
    source: Path,
    palette: Sequence[Sequence[int]],
) -> bool:
    """Write a label map with the georeference of its image, if the image has one.

    Args:
        path: GeoTIFF to write.
        label: Class per pixel, uint8 ``(H, W)``.
        source: File of the image.
        palette: Class colors, RGB in [0, 255].

    Returns:
        Whether the image has a georeference and the file was written. It is not written
        if rasterio is not installed; a warning says so.
    """
    if source.suffix.lower() not in (".tif", ".tiff"):
        return False
    with image_header(source) as opened:
        if not _TAGS & {*getattr(opened, "tag_v2", ())}:
            return False
    try:
        import rasterio
        from rasterio.io import MemoryFile
    except ModuleNotFoundError:
        rank_zero_warn(
            "rasterio must be installed to keep the georeference of GeoTIFF files, got"
            " none; install lightning-classmix[geo]"
        )
        return False
    with rasterio.open(source) as image, MemoryFile() as memory:
        if (image.height, image.width) != label.shape:  # turned by its EXIF orientation
            return False
        points, points_crs = image.gcps
        options = {"gcps": points} if points else {"transform": image.transform}
        with memory.open(
            driver="GTiff",
            height=image.height,
            width=image.width,
            count=1,
            dtype="uint8",
            crs=points_crs if points else image.crs,
            compress="deflate",
            **options,
        ) as target:
            target.write(label, 1)
            colors = {index: tuple(color) for index, color in enumerate(palette)}
            target.write_colormap(1, colors)
        with atomic_file(path) as file:
            file.write(memory.read())
    return True
