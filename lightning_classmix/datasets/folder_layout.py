"""Find the images and labels in a folder of the layout of `FolderDataModule`."""

from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import list_images, stem
from lightning_classmix.datasets.pairing import pair_up, read_list

_FIFTH = 5


def training_files(root: Path) -> tuple[ImageFiles, ImageFiles, list[str]]:
    """Find the training images in ``images``, ``labels`` and ``unlabeled``.

    Without a folder ``unlabeled``, the images that have no label are unlabeled.

    Args:
        root: Folder of the dataset.

    Returns:
        Labeled images, unlabeled images, and faults.
    """
    folder, labels = root / "images", root / "labels"
    unlabeled_folder = root / "unlabeled"
    images = list_images(folder)
    if unlabeled_folder.is_dir():
        unlabeled = list_images(unlabeled_folder)
    else:
        unlabeled_folder = folder
        named = {stem(path, labels) for path in list_images(labels).strings()}
        has_label = [stem(path, folder) in named for path in images.strings()]
        unlabeled = images.take(i for i, labeled in enumerate(has_label) if not labeled)
        images = images.take(i for i, labeled in enumerate(has_label) if labeled)
    labeled, faults = pair_up(images, folder, labels)
    return labeled, ImageFiles(unlabeled, root=unlabeled_folder), faults


def evaluation_files(folder: Path) -> tuple[ImageFiles | None, list[str]]:
    """Find the images and labels to evaluate on; None if there is no such folder.

    Args:
        folder: Folder with ``images`` and ``labels``.

    Returns:
        Labeled images, and faults.
    """
    if not folder.is_dir():
        return None, []
    images = folder / "images"
    return pair_up(list_images(images), images, folder / "labels")


def listed_evaluation_files(path: Path, root: Path) -> tuple[ImageFiles, list[str]]:
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


def shared_images(
    training: Iterable[ImageFiles], evaluation: Iterable[ImageFiles | None]
) -> list[str]:
    """Return a fault for every image that is in training and evaluation sets."""
    held = {path for part in evaluation if part for path in part.images.strings()}
    both = held.intersection(
        path for part in training for path in part.images.strings()
    )
    return [
        f"an image must be trained on or evaluated on, got {path} in both"
        for path in sorted(both)
    ]
