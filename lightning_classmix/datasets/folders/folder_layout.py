"""Find the images and labels of `FolderDataModule`."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_classmix.datasets.folders.layouts import find_layout, find_part
from lightning_classmix.datasets.folders.name_rules import FolderPair
from lightning_classmix.datasets.folders.pairing import pair_up, read_list
from lightning_classmix.datasets.folders.same_files import (
    repetition_warnings,
    shared_images,
)
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import list_images, stem

_FIFTH = 5
VOC_IMAGES = "JPEGImages"
"""Folder of the images in a tree of Pascal VOC."""


def folder_files(
    root: Path,
    lists: Mapping[str, Path | None],
    *,
    image_dir: str | None = None,
    label_dir: str | None = None,
    label_suffix: str | None = None,
) -> Files:
    """Find the images and labels of all parts, by lists or in a folder.

    Without validation images every fifth labeled image is held out. Without a folder
    ``unlabeled`` the images that have no label are unlabeled.

    Args:
        root: Folder of the dataset.
        lists: Lists of the parts ``train``, ``val`` and ``test``; None looks in the
            folder.
        image_dir: Argument of `find_layout`, as the following ones.
        label_dir: See there.
        label_suffix: See there.
    """
    train_list = lists["train"]
    is_voc = (root / VOC_IMAGES).is_dir() and image_dir is None and label_dir is None
    found: dict[str, tuple[ImageFiles | None, list[str]]] = {}
    undivided = None
    if train_list is not None:
        labeled, unlabeled, faults = read_list(train_list, root)
    elif is_voc:
        labeled, unlabeled, faults, found = _voc_files(root)
    else:
        layout = find_layout(
            root, image_dir=image_dir, label_dir=label_dir, label_suffix=label_suffix
        )
        undivided = layout.undivided
        if layout.train != FolderPair(root / "images", root / "labels"):
            rank_zero_info(f"found {layout.train}")
        labeled, unlabeled, faults = _training_files(layout.train, layout.unlabeled)
    for part in ("val", "test"):
        path = lists[part]
        if path is not None:
            found[part] = _listed_evaluation_files(path, root)
        elif part not in found:
            pair = find_part(root, part, label_suffix=label_suffix, undivided=undivided)
            if pair is not None:
                found[part] = pair_up(pair.image_paths(), pair)
        faults += found.setdefault(part, (None, []))[1]
    val, test = found["val"][0], found["test"][0]
    faults += shared_images((labeled, unlabeled), (val, test))
    sets = {"labeled": labeled, "unlabeled": unlabeled, "val": val, "test": test}
    for name, files in sets.items():
        for message in repetition_warnings(files, name):
            rank_zero_warn(message)
    if val is None:
        labeled, val = hold_out(labeled, root / "val")
    return Files(
        labeled,
        unlabeled if len(unlabeled) else None,
        val=val,
        test=test,
        faults=faults,
    )


def _voc_files(
    root: Path,
) -> tuple[
    ImageFiles,
    ImageFiles,
    list[str],
    dict[str, tuple[ImageFiles | None, list[str]]],
]:
    """Return labeled and unlabeled images, faults, and parts of a Pascal VOC tree.

    ``val.txt`` and ``test.txt`` in ``ImageSets/Segmentation`` name the images of
    validation and test. All other images are for training, those without a mask
    unlabeled; images of these lists without a mask are not used.
    """
    pair = FolderPair(root / VOC_IMAGES, root / "SegmentationClass")
    labeled, unlabeled, faults = _training_files(pair, None)
    rank_zero_info(f"found {pair}")
    parts: dict[str, tuple[ImageFiles | None, list[str]]] = {}
    for part in ("val", "test"):
        path = root / f"ImageSets/Segmentation/{part}.txt"
        names = {*path.read_text("utf-8-sig").split()} if path.is_file() else set()
        if names:
            parts[part] = (_named(labeled, names, keep=True), [])
            labeled = _named(labeled, names, keep=False)
            unlabeled = _named(unlabeled, names, keep=False)
    return labeled, unlabeled, faults, parts


def _named(files: ImageFiles, names: set[str], *, keep: bool) -> ImageFiles:
    """Return the images of given names, or all others."""
    chosen = [i for i, n in enumerate(files.names()) if (n in names) == keep]
    return files.take(chosen)


def _training_files(
    pair: FolderPair, unlabeled_folder: Path | None
) -> tuple[ImageFiles, ImageFiles, list[str]]:
    """Return labeled images, unlabeled images, and faults."""
    images = pair.image_paths()
    if unlabeled_folder is not None:
        unlabeled = list_images(unlabeled_folder)
    else:
        unlabeled_folder = pair.images
        labels = (stem(path, pair.labels) for path in pair.label_paths().strings())
        named = {pair.label_name(name) or name for name in labels}
        names = [stem(path, pair.images) for path in images.strings()]
        has_label = [pair.image_name(name) in named for name in names]
        unlabeled = images.take(i for i, labeled in enumerate(has_label) if not labeled)
        images = images.take(i for i, labeled in enumerate(has_label) if labeled)
    labeled, faults = pair_up(images, pair)
    return labeled, ImageFiles(unlabeled, root=unlabeled_folder), faults


def _listed_evaluation_files(path: Path, root: Path) -> tuple[ImageFiles, list[str]]:
    """Read a list of images to evaluate on, each of which must have a label.

    Args:
        path: The list.
        root: Folder that the names in it are relative to.

    Returns:
        Labeled images, and faults.
    """
    files, unlabeled, faults = read_list(path, root)
    faults += [
        f"an image in {path} must have a label, got {image} alone"
        for image in unlabeled.images.strings()
    ]
    return files, faults


def hold_out(pairs: ImageFiles, folder: Path) -> tuple[ImageFiles, ImageFiles | None]:
    """Hold every fifth labeled image out for validation; report it.

    Args:
        pairs: Labeled images.
        folder: Missing folder of validation images, named in the message.

    Returns:
        Training images, and validation images; None if there are fewer than 5 images.
    """
    held = range(_FIFTH - 1, len(pairs), _FIFTH)
    if held:
        rank_zero_info(
            f"{len(held)} of {len(pairs)} labeled images are held out for"
            f" validation, every fifth: there is no {folder}"
        )
    else:
        rank_zero_warn(
            f"nothing is validated: {len(pairs)} labeled images are too few to"
            f" hold every fifth out, and there is no {folder}"
        )
    rest = [index for index in range(len(pairs)) if index not in held]
    return pairs.take(rest), pairs.take(held) if held else None
