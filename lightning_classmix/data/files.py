"""Images and labels on a disk; every fault names its file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch.utils.data import Dataset

_SHOWN = 20  # faults that one error lists
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder and of the folders in it, sorted.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must be a folder of images, got none")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise ValueError(
            f"{folder} must hold images ({', '.join(IMAGE_SUFFIXES)}), got none"
        )
    return paths


def read_image(path: Path) -> Image.Image:
    """Read an image of 8 bits a channel as upright RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read to its end, or has other numbers.
    """
    image = _read(path)
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"an image must have 8 bits a channel, got mode {image.mode} in {path}"
        )
    return ImageOps.exif_transpose(image).convert("RGB")


def read_label(path: Path) -> NDArray[np.uint8]:
    """Read the values of an index or palette PNG, uint8 ``(H, W)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or holds colours.
    """
    image = _read(path)
    if image.mode not in ("L", "P", "1"):
        raise ValueError(
            f"a label must be an index or palette image of 8 bits, got mode"
            f" {image.mode} in {path}"
        )
    values = np.asarray(image).astype(np.uint8)
    # Grey values of 2 and 4 bits come stretched to 8.
    return values // {2: 85, 4: 17}.get(_bits(path), 1) if image.mode == "L" else values


def _bits(path: Path) -> int:
    """Return the bits of a value in a PNG file; 8 for any other."""
    with path.open("rb") as file:
        start = file.read(25)
    return start[24] if start[:8] == b"\x89PNG\r\n\x1a\n" else 8


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise of all kinds
        raise ValueError(f"an image must be readable, got {path}: {error}") from error


def stem(path: Path, folder: Path) -> str:
    """Return the place of a file in a folder, without its suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


class ImageFiles(Dataset[dict[str, Any]]):
    """Images on a disk, with their labels if they have any.

    Args:
        images: Files of the images.
        labels: Files of their labels, in the same order; None for unlabelled images.
        classes: Class of each raw label value, uint8 ``(256,)``, 255 for void; None
            where the files hold classes already.
        root: Folder that the names of the images are told from.
    """

    def __init__(
        self,
        images: Sequence[Path],
        labels: Sequence[Path] | None = None,
        *,
        classes: NDArray[np.uint8] | None = None,
        root: Path,
    ) -> None:
        if labels is not None and len(labels) != len(images):
            raise ValueError(
                f"labels must be as many as images, got {len(labels)} for {len(images)}"
            )
        self.images = list(images)
        self.labels = None if labels is None else list(labels)
        self.classes, self.root = classes, root

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the file of an image, relative to ``root``, without its suffix."""
        return stem(self.images[index], self.root)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image``, RGB, ``name``, and any ``label``, uint8 ``(H, W)``."""
        item: dict[str, Any] = {"image": read_image(self.images[index])}
        if self.labels is not None:
            label = read_label(self.labels[index])
            item["label"] = label if self.classes is None else self.classes[label]
        return item | {"name": self.name(index)}

    def take(
        self, indices: Sequence[int], classes: NDArray[np.uint8] | None = None
    ) -> "ImageFiles":
        """Return some of the images in the given order, their labels by ``classes``."""
        return ImageFiles(
            [self.images[index] for index in indices],
            self.labels and [self.labels[index] for index in indices],
            classes=classes,
            root=self.root,
        )


def pair_up(images: Sequence[Path], folder: Path, label_folder: Path) -> ImageFiles:
    """Find the label of every image: the same place and stem, in another folder.

    Args:
        images: Files of the images.
        folder: Folder that they lie in.
        label_folder: Folder that their labels lie in.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If an image has no label or a label has no image, two images share
            one label, or a label is not a PNG file; it names all of them.
    """
    found = _by_stem(images, folder)
    labels = _by_stem(list_images(label_folder), label_folder)
    faults = [
        f"a label must be a PNG file, got {path}"
        for paths in labels.values()
        for path in paths
        if path.suffix.lower() != ".png"
    ]
    faults += _namesakes(found)
    faults += [
        f"an image must have a label, got {paths[0]} without {label_folder / name}.png"
        for name, paths in found.items()
        if name not in labels
    ]
    faults += [
        f"a label must have an image, got {paths[0]} without {folder / name}.*"
        for name, paths in labels.items()
        if name not in found
    ]
    raise_faults(faults)
    return ImageFiles(
        [paths[0] for paths in found.values()],
        [labels[name][0] for name in found],
        root=folder,
    )


def check_names(files: ImageFiles) -> None:
    """Raise a ValueError if images differ in their suffix only; it names them."""
    raise_faults(_namesakes(_by_stem(files.images, files.root)))


def _namesakes(found: dict[str, list[Path]]) -> list[str]:
    return [
        f"an image must have a name of its own, got {' and '.join(map(str, paths))}"
        for paths in found.values()
        if len(paths) > 1
    ]


def _by_stem(paths: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    """Gather files by their place in a folder, without suffix."""
    stems: dict[str, list[Path]] = {}
    for path in paths:
        stems.setdefault(stem(path, folder), []).append(path)
    return stems


def raise_faults(faults: Iterable[str]) -> None:
    """Raise one ValueError that tells all faults, if there are any."""
    told = list(faults)
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"and {len(told) - _SHOWN} more"]
    if told:
        raise ValueError("\n".join(told))
