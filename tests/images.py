"""Small images and labels on a disk."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


def save_pair(
    image: Path, label: Path | None, *, size: tuple[int, int] = (24, 32), seed: int = 0
) -> None:
    """Write an image of three colours, height × width, and the class of each pixel."""
    rng = np.random.default_rng(seed)
    classes = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8)))
    classes = np.resize(classes, size).astype(np.uint8)
    image.parent.mkdir(parents=True, exist_ok=True)
    noise = rng.integers(0, 40, (*size, 3), np.uint8)
    Image.fromarray(COLOURS[classes] + noise).save(image)
    if label is not None:
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(classes).save(label)


def make_folder(
    root: Path,
    *,
    labeled: int = 6,
    unlabeled: int = 5,
    val: int = 2,
    size: tuple[int, int] = (24, 32),
) -> Path:
    """Write a data set as `FolderDataModule` wants it; 0 leaves a folder out."""
    for index in range(labeled):
        name = f"{index:02d}"
        image, label = root / f"images/{name}.jpg", root / f"labels/{name}.png"
        save_pair(image, label, size=size, seed=index)
    for index in range(unlabeled):
        save_pair(root / f"unlabeled/u{index}.png", None, size=size, seed=100 + index)
    for index in range(val):
        image, label = (
            root / f"val/images/v{index}.png",
            root / f"val/labels/v{index}.png",
        )
        save_pair(image, label, size=size, seed=200 + index)
    return root


def make_camvid(root: Path, *, train: int = 8, val: int = 3) -> Path:
    """Write a data set in the layout of SegNet's CamVid; the first pixels are void."""
    for part, count in (("train", train), ("val", val)):
        for index in range(count):
            image = root / part / f"{index:02d}.png"
            label = root / f"{part}annot" / image.name
            save_pair(image, label, seed=index)
            classes = np.array(Image.open(label))
            classes[0, :3] = 11
            Image.fromarray(classes).save(label)
    return root
