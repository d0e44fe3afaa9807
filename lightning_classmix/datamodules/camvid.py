"""LightningDataModule for CamVid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.folders.name_rules import FolderPair
from lightning_classmix.datasets.folders.pairing import pair_up
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import list_images
from lightning_classmix.ops import VOID

CLASS_NAMES = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)
PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)


class CamVidDataModule(FileDataModule):
    """CamVid: street scenes from a driving car, in the layout of SegNet's authors.

    ``train``, ``val`` and ``test`` hold images, ``trainannot``, ``valannot`` and
    ``testannot`` labels of the same names: classes 0 to 10, and 11 for void. The
    dataset is licensed for research only.

    Args:
        root: Folder that holds these folders; ``test`` may be missing.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all.
        size: Height and width in pixels to which images are resized; None keeps them.
        kwargs: Further arguments of `FileDataModule`.

    Source:
        Brostow et al. 2008; Badrinarayanan et al. 2017 (arXiv 1511.00561) for the
        eleven classes and their colors.
    """

    num_classes = len(CLASS_NAMES)
    class_names = CLASS_NAMES
    palette = PALETTE

    def __init__(
        self,
        root: str | Path,
        labeled: int | float | None = 46,
        size: tuple[int, int] | None = (240, 320),
        **kwargs: Any,
    ) -> None:
        super().__init__(root, labeled=labeled, size=size, **kwargs)

    def list_files(self) -> Files:
        """Return the images with their labels; ``test`` only if it exists."""
        parts = {"labeled": "train", "val": "val"}
        if (self.root / "test").is_dir():
            parts["test"] = "test"
        found: dict[str, ImageFiles] = {}
        faults: list[str] = []
        for part, name in parts.items():
            folder, labels = self.root / name, self.root / f"{name}annot"
            found[part], more = pair_up(list_images(folder), FolderPair(folder, labels))
            faults += more
        return Files(**found, faults=faults)

    def label_map(self) -> Mapping[int, int]:
        """Return the identity for the classes, and void for 11."""
        return {value: value for value in range(len(CLASS_NAMES))} | {11: VOID}
