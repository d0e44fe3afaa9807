"""Arrange the real images of the comparison as folders that FolderDataModule reads.

python benchmarks/prepare_sets.py SOURCE OUT [--sets msrc21 …] [--height 72]

SOURCE holds the data sets as ``docs/datasets.md`` describes them:

    camvid/train, trainannot, val, valannot            0 to 10, void 11
    msrc21/train, train_labels, val, val_labels        0 to 20, void 255
    magnetic_tile/train, train_labels, val, val_labels 0 to 5; read as defect or not;
                                                       training tiles balanced

With ``--height``, images and labels are resized to that height (landscape images) or
width (upright ones), at an aspect ratio of 4 to 3. Otherwise images are copied as they
are. Only the values of the labels change.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from lightning_classmix import CamVidDataModule
from lightning_classmix.ops import VOID

TILES = "magnetic_tile"
LABELS = {
    "camvid": ("trainannot", "valannot"),
    "msrc21": ("train_labels", "val_labels"),
    TILES: ("train_labels", "val_labels"),
}
NAMES = {
    "camvid": CamVidDataModule.class_names,
    TILES: ("free", "defect"),
}


def read_label(path: Path, dataset: str) -> Image.Image:
    """Return a label with void 255; all defects of the tiles are class 1."""
    classes = np.array(Image.open(path))
    if dataset == "camvid":
        classes[classes == 11] = VOID
    if dataset == TILES:
        classes[(classes > 0) & (classes < VOID)] = 1
    return Image.fromarray(classes)


def size_of(image: Image.Image, height: int) -> tuple[int, int]:
    """Return width and height of the resized image."""
    long = height * 4 // 3
    return (long, height) if image.width > image.height else (height, long)


def split_camvid(frames: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the training and the validation frames of CamVid's training list.

    CamVid's own validation list is seven seconds of one drive: a labeled frame a second
    earlier decides the score. Five stretches of 20 frames, one each second, take its
    place, from all three drives. The four frames beside a stretch are left out.
    """
    places = range(30, len(frames), 70)
    val = {i for place in places for i in range(place, place + 20)}
    near = {i for place in places for i in range(place - 4, place + 24)}
    kept = [frame for i, frame in enumerate(frames) if i not in near]
    return kept, [frames[i] for i in sorted(val) if i < len(frames)]


def balance_tiles(tiles: list[Path], labels: Path) -> list[Path]:
    """Return the tiles with a defect, and equally many of the others.

    Of all tiles 28 % show a defect, so that 30 random labels hold only about ten of
    them. The tiles without a defect are drawn by a fixed seed.
    """
    free = [
        t for t in tiles if not read_label(labels / f"{t.stem}.png", TILES).getbbox()
    ]
    count = len(tiles) - len(free)
    chosen = np.random.default_rng(0).permutation(len(free))[:count]
    left_out = {*free} - {free[i] for i in chosen}
    return [tile for tile in tiles if tile not in left_out]


def prepare(source: Path, out: Path, dataset: str, height: int | None) -> None:
    """Write the training and validation images of one data set, and their labels."""
    parts = [sorted((source / part).iterdir()) for part in ("train", "val")]
    folders = LABELS[dataset]
    if dataset == "camvid":
        parts, folders = list(split_camvid(parts[0])), (LABELS[dataset][0],) * 2
    if dataset == TILES:
        parts[0] = balance_tiles(parts[0], source / folders[0])
    for target, labels, paths in zip((out, out / "val"), folders, parts, strict=True):
        for folder in ("images", "labels"):
            (target / folder).mkdir(parents=True, exist_ok=True)
        for path in paths:
            label = read_label(source / labels / f"{path.stem}.png", dataset)
            if height is None:
                shutil.copy(path, target / "images" / path.name)
            else:
                image = Image.open(path).convert("RGB")
                width, height_now = size_of(image, height)
                image = image.resize((width, height_now), Image.Resampling.BILINEAR)
                image.save(target / "images" / f"{path.stem}.png")
                label = label.resize((width, height_now), Image.Resampling.NEAREST)
            label.save(target / "labels" / f"{path.stem}.png")
    names = NAMES.get(dataset)
    if names is None:
        lines = (source / "classes.txt").read_text(encoding="utf-8").splitlines()
        names = [line.split(maxsplit=1)[-1] for line in lines if line.strip()]
    listed = ", ".join(names)
    (out / "classes.yaml").write_text(f"class_names: [{listed}]\n", encoding="utf-8")


def main() -> None:
    """Prepare the data sets of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--height", type=int, default=None)
    arguments = parser.parse_args()
    for dataset in arguments.sets:
        out = arguments.out / dataset
        prepare(arguments.source / dataset, out, dataset, arguments.height)
        print(f"{dataset}: {len(list((out / 'images').iterdir()))} training images")


if __name__ == "__main__":
    main()
