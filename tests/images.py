"""Small image and label files."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.labels.label_map import LabelMap

COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
CITY_IMAGES = (
    "zurich_000001_000019",
    "aachen_000003_000019",
    "aachen_000001_000019",
    "bremen_000000_000019",
    "bremen_000002_000019",
    "zurich_000000_000019",
    "aachen_000010_000019",
    "jena_000000_000019",
)


def save_pair(
    image: Path, label: Path | None, *, size: tuple[int, int] = (24, 32), seed: int = 0
) -> None:
    """Write an image of three colors, height × width, and the class of each pixel."""
    rng = np.random.default_rng(seed)
    classes = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8)))
    classes = np.resize(classes, size).astype(np.uint8)
    image.parent.mkdir(parents=True, exist_ok=True)
    noise = rng.integers(0, 40, (*size, 3), np.uint8)
    Image.fromarray(COLORS[classes] + noise).save(image)
    if label is not None:
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(classes).save(label)


def save_files(root: Path, count: int = 3) -> ImageFiles:
    """Write images with labels of three classes; return them as a dataset."""
    images = [root / f"images/{index}.png" for index in range(count)]
    labels = [root / f"labels/{index}.png" for index in range(count)]
    for seed, (image, label) in enumerate(zip(images, labels, strict=True)):
        save_pair(image, label, seed=seed)
    label_map = LabelMap({value: value for value in range(3)})
    return ImageFiles(images, labels, label_map=label_map, root=root)


def write_png(path: Path, row: bytes, width: int, *, bits: int) -> None:
    """Write a gray PNG of one row with any number of bits."""
    header = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content)


def make_folder(
    root: Path,
    *,
    labeled: int = 6,
    unlabeled: int = 5,
    val: int = 2,
    size: tuple[int, int] = (24, 32),
) -> Path:
    """Write a dataset in the layout of `FolderDataModule`; 0 omits a folder."""
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


def setup_folder(root: Path, stage: str = "fit", **options: Any) -> Any:
    """Return a `FolderDataModule` of whole images after ``setup(stage)``."""
    options = {"crop": None, "batch_size": 2, "num_workers": 0, **options}
    data = FolderDataModule(str(root), **options)
    data.setup(stage)
    return data


def image_names(files: ImageFiles) -> list[str]:
    """Return the file names of the images."""
    return [path.name for path in files.images]


def make_camvid(root: Path, *, train: int = 8, val: int = 3) -> Path:
    """Write a dataset in the layout of SegNet's CamVid; the first pixels are void."""
    for part, count in (("train", train), ("val", val)):
        for index in range(count):
            image = root / part / f"{index:02d}.png"
            label = root / f"{part}annot" / image.name
            save_pair(image, label, seed=index)
            classes = np.array(Image.open(label))
            classes[0, :3] = 11
            Image.fromarray(classes).save(label)
    return root


def save_classes(
    image: Path,
    labels: dict[Path, list[int]],
    *,
    size: tuple[int, int] = (24, 32),
    seed: int = 0,
) -> None:
    """Write an image of blocks, and label files that hold its raw values.

    Of each label file is told what raw value each kind of block has in it.
    """
    rng = np.random.default_rng(seed)
    kinds = len(next(iter(labels.values())))
    blocks = np.kron(rng.integers(0, kinds, (4, 4)), np.ones((8, 8)))
    blocks = np.resize(blocks, size).astype(np.uint8)
    colors = np.random.default_rng(0).integers(0, 200, (kinds, 3), np.uint8)
    image.parent.mkdir(parents=True, exist_ok=True)
    noise = rng.integers(0, 40, (*size, 3), np.uint8)
    Image.fromarray(colors[blocks] + noise).save(image)
    for path, values in labels.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(values, np.uint8)[blocks]).save(path)


def make_cityscapes(
    root: Path,
    *,
    train: Sequence[str] = CITY_IMAGES,
    val: int = 2,
    train_extra: int = 0,
    size: tuple[int, int] = (24, 32),
) -> Path:
    """Write a dataset in the official layout of Cityscapes, with both label files.

    The blocks are ego vehicle, static, parking, road, sidewalk, building, sky and car.
    """
    names = {"train": train, "val": [f"lindau_{i:06d}_000019" for i in range(val)]}
    ids, train_ids = [1, 4, 9, 7, 8, 11, 23, 26], [255, 255, 255, 0, 1, 2, 10, 13]
    for part, listed in names.items():
        for seed, name in enumerate(listed):
            place = f"{part}/{name.partition('_')[0]}/{name}"
            labels = {
                root / f"gtFine/{place}_gtFine_labelIds.png": ids,
                root / f"gtFine/{place}_gtFine_labelTrainIds.png": train_ids,
            }
            image = root / f"leftImg8bit/{place}_leftImg8bit.png"
            save_classes(image, labels, size=size, seed=seed + 100 * (part == "val"))
    for index in range(train_extra):
        name = f"leftImg8bit/train_extra/erlangen/erlangen_{index:06d}_000000"
        image = root / f"{name}_leftImg8bit.png"
        save_pair(image, None, size=size, seed=200 + index)
    return root


def make_voc(
    root: Path, *, train: int = 3, augmented: int = 5, val: int = 2, listed: bool = True
) -> Path:
    """Write a dataset in the layout of Pascal VOC 2012, of images of many sizes.

    Labels are palette images whose blocks are background, aeroplane, person, monitor
    and void. In ``SegmentationClassAug`` the blocks of one kind are of another class
    than in ``SegmentationClass``. ``listed`` tells whether there is a trainaug.txt.
    """
    base = root / "VOCdevkit/VOC2012"
    names = [f"2007_{index:06d}" for index in range(train + augmented + val)]
    parts = {
        "train": names[:train],
        "trainaug": names[: train + augmented],
        "val": names[train + augmented :],
    }
    for seed, name in enumerate(names):
        folders = []
        if name not in parts["trainaug"][train:]:
            folders.append("SegmentationClass")
        if name in parts["trainaug"]:
            folders.append("SegmentationClassAug")
        values = {"SegmentationClass": [0, 1, 15, 20, 255]}
        values["SegmentationClassAug"] = [1, 0, 20, 15, 255]
        labels = {base / f"{one}/{name}.png": values[one] for one in folders}
        size = (24 + seed % 3, 32 - seed % 2)
        save_classes(base / f"JPEGImages/{name}.jpg", labels, size=size, seed=seed)
        for path in labels:
            with Image.open(path) as image:
                palette = Image.fromarray(np.asarray(image))
            palette.putpalette([int(v) for v in np.arange(768) * 7 % 256])
            palette.save(path)
    lists = base / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for part, some in parts.items():
        if listed or part != "trainaug":
            (lists / f"{part}.txt").write_text("".join(f"{name}\n" for name in some))
    return root
