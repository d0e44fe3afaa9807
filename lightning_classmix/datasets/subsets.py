"""Draw the training images that keep their labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.paths import Paths


def covering_order(present: NDArray[np.bool_], *, seed: int) -> list[int]:
    """Order images so that the first N, for any N, are a good labeled subset.

    A greedy cover comes first: the image that adds the most new classes, until no image
    adds a class. The other images follow in random order. The subsets of one order are
    nested. A greedy cover may need more images than the smallest cover.

    Args:
        present: Whether image i contains class c, bool ``(N, C)``.
        seed: Seed of the random order and of ties in the cover.

    Returns:
        All N indices.

    Example:
        >>> covering_order(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], bool), seed=0)
        [1, 2, 0]
    """
    rest = list(np.random.default_rng(seed).permutation(len(present)))
    covered = np.zeros(present.shape[1], dtype=bool)
    order = []
    while rest:
        gains = (present[rest] & ~covered).sum(axis=1)
        if not gains.max():
            break
        order.append(rest.pop(int(gains.argmax())))
        covered |= present[order[-1]]
    return [int(index) for index in order + rest]


def subset_size(labeled: int | float | None, available: int) -> int:
    """Return the number of images that keep their labels.

    Args:
        labeled: Number of images, at least 1; or their share in (0, 1], rounded to at
            least 1 image; or None for all.
        available: Number of images that have labels.

    Raises:
        ValueError: If ``labeled`` is out of range.

    Example:
        >>> subset_size(46, 367), subset_size(0.125, 367), subset_size(None, 367)
        (46, 46, 367)
    """
    if labeled is None:
        return available
    if isinstance(labeled, float):
        if not 0 < labeled <= 1:
            raise ValueError(f"labeled must be a share in (0, 1], got {labeled}")
        return max(1, round(labeled * available))
    if not 1 <= labeled <= available:
        raise ValueError(
            f"labeled must be in [1, {available}], the labeled images to choose from,"
            f" got {labeled}"
        )
    return labeled


def choose_labeled(
    present: NDArray[np.bool_], labeled: int | float | None, *, seed: int
) -> list[int]:
    """Choose the images that keep their labels: the first of `covering_order`.

    Args:
        present: Whether image i contains class c, bool ``(N, C)``.
        labeled: Number or share of the images, as in `subset_size`.
        seed: Seed of the order.

    Returns:
        Indices of the chosen images, in the order of the draw.

    Raises:
        ValueError: If ``labeled`` is out of range.

    Example:
        >>> choose_labeled(np.array([[1, 0], [1, 1], [0, 1]], bool), 1, seed=0)
        [1]
    """
    size = subset_size(labeled, len(present))
    return covering_order(present, seed=seed)[:size]


def divide_images(
    files: Files, kept: Sequence[int], label_map: LabelMap, root: Path
) -> tuple[ImageFiles, ImageFiles | None]:
    """Divide the training images into labeled and unlabeled images.

    A single unlabeled image is left out with a warning.

    Args:
        files: Files of the dataset.
        kept: Indices of the labeled images that keep their labels.
        label_map: Class of each raw value in the labels.
        root: Folder of the dataset.

    Returns:
        Labeled images, and unlabeled images: first those that do not keep their labels.
    """
    pool, more = files.labeled, files.unlabeled
    rest = sorted({*range(len(pool))} - {*kept})
    unlabeled = more.images if more else Paths()
    if rest:
        unlabeled = Paths([*pool.images.take(rest).strings(), *unlabeled.strings()])
    labeled = pool.take(kept, label_map)
    if len(unlabeled) == 1:
        rank_zero_warn(
            f"{unlabeled[0]} is left out: a single unlabeled image cannot be mixed with"
            " another image; add more, or use Supervised"
        )
    if len(unlabeled) < 2:
        return labeled, None
    return labeled, ImageFiles(unlabeled, channels=pool.channels, root=root)
