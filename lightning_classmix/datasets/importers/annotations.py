"""What an importer returns: images with the objects that were annotated in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightning_classmix.datasets.importers.shapes import Region

Color: TypeAlias = tuple[int, int, int]
Part: TypeAlias = Literal["train", "val", "test"]


@dataclass
class Annotation:
    """One annotated object."""

    name: str
    """Name of its class."""
    rasterize: Callable[[int, int], Region]
    """Maps height and width of the image to the pixels of the object.

    Raises ValueError if the object has no area or its kind is unknown.
    """
    problem: str = ""
    """Why the pixels are not those of the object but of its box; they become void."""


@dataclass
class AnnotatedImage:
    """One image and its annotations."""

    path: Path
    """File of the image."""
    name: str
    """Name to write, with folders and without suffix."""
    part: Part = "train"
    """What the image is used for."""
    size: tuple[int, int] | None = None
    """Height and width in pixels at which it was annotated; None for its own."""
    annotations: Sequence[Annotation] = ()
    """Its objects; an image without any is unlabeled."""
    label: Callable[[], NDArray[np.uint8]] | None = None
    """Reads the class of each pixel, ``(H, W)``, where the format has label images."""


@dataclass
class Dataset:
    """The content of an annotated dataset."""

    names: Sequence[str]
    """Names of the classes, in order."""
    images: list[AnnotatedImage]
    faults: list[str] = field(default_factory=list)
    """What could not be read; each names its file."""
    colors: dict[str, Color] = field(default_factory=dict)
    """Colors of classes, RGB in [0, 255], by name, where the format has them."""
