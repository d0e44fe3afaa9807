"""Draw the held-out, labeled and unlabeled training images of a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset, Subset

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.datamodules.street_scenes import StreetScenesDataModule
from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.samples import Source
from lightning_classmix.datasets.splits import write_split
from lightning_classmix.datasets.subsets import covering_order
from lightning_classmix.ops import VOID

HELD_OUT = 40
"""Number of training images that only the search for learning rates is scored on."""


def pool_arguments(data: SemiSupervisedDataModule) -> dict[str, Any]:
    """Return the arguments of a data module, changed to label every training image.

    Raises:
        TypeError: If it is not known how to change them.
        ValueError: If ``split`` is given.
    """
    arguments = dict(data.hparams)
    if isinstance(data, FileDataModule):
        if arguments["split"] is not None:
            raise ValueError(
                "data.split must be None, since compare draws the labeled images of"
                f" every seed, got {arguments['split']}"
            )
        return arguments | {"labeled": None}
    if isinstance(data, StreetScenesDataModule):
        count = arguments["labeled"] + arguments["unlabeled"]
        return arguments | {"labeled": count, "unlabeled": 0}
    raise TypeError(
        "data must be a FileDataModule or a StreetScenesDataModule, got"
        f" {type(data).__name__}"
    )


def build_data(
    data_class: type[SemiSupervisedDataModule], arguments: Mapping[str, Any]
) -> SemiSupervisedDataModule:
    """Build a data module and its training sets.

    Args:
        data_class: Class of the data module.
        arguments: Arguments from `pool_arguments`.

    Raises:
        ValueError: If there is no validation set.
    """
    data = data_class(**arguments)
    data.prepare_data()
    data.setup("fit")
    if data.val is None:
        raise ValueError(
            "data must have validation images, on which compare scores, got none"
        )
    return data


def draw_lists(
    data: SemiSupervisedDataModule, seeds: Iterable[int], folder: Path
) -> int:
    """Write ``held_out.txt``, and ``seed_<seed>.txt`` with the order of the others.

    The held-out images are drawn by the data module's seed. For a label count N, the
    first N images of a seed's list are labeled; they show every class as soon as N
    allows it.

    Args:
        data: Data module from `build_data`.
        seeds: Seeds of the comparison.
        folder: Folder of the lists.

    Returns:
        Number of training images that are not held out.

    Raises:
        ValueError: If there are too few images, or the folder holds other lists.
    """
    names = _names(data.labeled)
    if len(names) <= HELD_OUT:
        raise ValueError(
            f"data must have more than {HELD_OUT} labeled training images, since"
            f" {HELD_OUT} are held out to choose learning rates, got {len(names)}"
        )
    order = np.random.default_rng(data.seed).permutation(len(names)).tolist()
    held_out = sorted(order[:HELD_OUT])
    rest = sorted(order[HELD_OUT:])
    lists = {"held_out": held_out}
    present = _classes_present(data.labeled, rest)
    for seed in seeds:
        lists[f"seed_{seed}"] = [rest[i] for i in covering_order(present, seed=seed)]
    for name, indices in lists.items():
        path = folder / f"{name}.txt"
        listed = [names[index] for index in indices]
        if path.exists() and _read(path) != listed:
            raise ValueError(
                "out must hold results on the same training images, got other names in"
                f" {path}; give another folder"
            )
        write_split(path, listed)
    return len(rest)


def split_data(
    data: SemiSupervisedDataModule, folder: Path, *, labels: int, seed: int
) -> Source:
    """Replace the training sets of a data module by those of one run.

    The images that are neither labeled nor held out are unlabeled, and so are the
    unlabeled images of the data module. If fewer than two images remain, the labeled
    images are also the unlabeled ones.

    Args:
        data: Data module from `build_data`.
        folder: Folder of the lists that `draw_lists` wrote.
        labels: Number of labeled images.
        seed: Seed of the run.

    Returns:
        The held-out images with their labels.
    """
    pool, more = data.labeled, data.unlabeled
    index = {name: i for i, name in enumerate(_names(pool))}
    order = [index[name] for name in _read(folder / f"seed_{seed}.txt")]
    labeled, rest = sorted(order[:labels]), sorted(order[labels:])
    data.labeled = _take(pool, labeled)
    if isinstance(pool, ImageFiles):  # do not read label files of unlabeled images
        extra = more.images if isinstance(more, ImageFiles) else ()
        paths = [*pool.images.take(rest), *extra]
        data.unlabeled = ImageFiles(paths, root=pool.root)
    else:
        data.unlabeled = Subset(pool, rest)  # type: ignore[arg-type]
        if more is not None:
            data.unlabeled = ConcatDataset([data.unlabeled, more])
    if len(data.unlabeled) < 2:
        data.unlabeled = data.labeled
    return _take(pool, [index[name] for name in _read(folder / "held_out.txt")])


def _names(source: Source) -> list[str]:
    if isinstance(source, ImageFiles):
        return source.names()
    return [str(index) for index in range(len(source))]


def _take(source: Source, indices: Sequence[int]) -> Source:
    if isinstance(source, ImageFiles):
        return source.take(indices, source.label_map)
    return Subset(source, indices)  # type: ignore[arg-type]


def _classes_present(source: Source, indices: Sequence[int]) -> np.ndarray:
    """Return whether image i shows class c, bool ``(N, 256)``; never void."""
    present = np.zeros((len(indices), VOID + 1), dtype=bool)
    for row, index in zip(present, indices, strict=True):
        row[np.unique(_label(source, index))] = True
    present[:, VOID] = False
    return present


def _label(source: Source, index: int) -> Any:
    """Return the class per pixel of an image, without reading the image file."""
    if isinstance(source, ImageFiles) and source.labels and source.label_map:
        return source.label_map(source.raw_label(index), source.labels[index])
    item = source[index]
    return item["label"] if isinstance(item, Mapping) else item[1]


def _read(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return text.split("\n")[:-1]
