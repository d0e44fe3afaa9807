"""What the data modules over files share: subsets, checks, and reading only once."""

import inspect
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.data.checks import (
    LabelFacts,
    check_images,
    check_values,
    read_facts,
)
from lightning_classmix.data.datamodule import SemiSupervisedDataModule
from lightning_classmix.data.files import ImageFiles, check_names, list_images
from lightning_classmix.data.splits import covering_order, subset_size
from lightning_classmix.ops import VOID


class Files(NamedTuple):
    """What a folder holds, by what it is for."""

    labeled: ImageFiles
    unlabeled: ImageFiles | None = None
    val: ImageFiles | None = None
    test: ImageFiles | None = None


class FileDataModule(SemiSupervisedDataModule):
    """The part that data modules over image and label files share.

    A subclass tells its files and what their label values mean. All labels, and all
    labelled images in use, are read once before the first step, so that a fault is
    one error that names its file.

    Args:
        root: Folder of the data set.
        labeled: How many of the labelled images keep their labels: a count, a share in
            (0, 1], or None for all.
        predict: Folder of the images to predict; None for the unlabelled ones.
        seed: Decides which images keep their labels.
        num_workers: Worker processes of each loader; 0 loads in the main process, None
            takes half of the cores, at most 4.
        kwargs: Further arguments of `SemiSupervisedDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        labeled: int | float | None,
        predict: str | Path | None,
        seed: int,
        num_workers: int | None = None,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> None:
        super().__init__(
            labeled=(),
            unlabeled=None,
            val=None,
            test=None,
            predict=None,
            seed=seed,
            num_workers=_workers() if num_workers is None else num_workers,
            **kwargs,
        )
        self.root, self.share, self.predict_folder = Path(root), labeled, predict
        self._checked: set[str] = set()
        self._facts: dict[str, LabelFacts] = {}

    def list_files(self) -> Files:
        """Return the files; what a subclass tells."""
        raise TypeError(f"{type(self).__name__} must tell its files in list_files()")

    def label_map(self) -> Mapping[int, int]:
        """Return the class, or 255, of each raw value; what a subclass tells."""
        raise TypeError(f"{type(self).__name__} must tell its values in label_map()")

    @cached_property
    def files(self) -> Files:
        """The files, looked for once."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"root must be a folder, got {self.root}")
        return self.list_files()

    def facts(self, part: Literal["labeled", "val", "test"]) -> LabelFacts:
        """Return what the labels of one part of the files hold; they are read once."""
        if part not in self._facts:
            files: ImageFiles | None = getattr(self.files, part)
            self._facts[part] = read_facts(files.labels or () if files else ())
        return self._facts[part]

    def keep_arguments(self) -> None:
        """Keep the arguments for checkpoints, which hold plain values; to end with."""
        self.save_hyperparameters(
            ignore=["transform"],
            logger=False,
            frame=inspect.currentframe().f_back,  # type: ignore[union-attr]
        )
        for name, value in self.hparams.items():
            if isinstance(value, Path):
                self.hparams[name] = str(value)

    def setup(self, stage: str) -> None:
        """Check the files that ``stage`` needs, and choose which keep their labels.

        Raises:
            FileNotFoundError: If a folder is missing.
            ValueError: If a file has a fault; it names each such file.
        """
        if stage == "fit":
            self._choose()
        if stage in ("fit", "validate"):
            self.val = self._evaluated("val")
        if stage == "test":
            self.test = self._evaluated("test")
        if stage == "predict":
            self.predict = self._predicted()
        super().setup(stage)

    def _choose(self) -> None:
        """Deal the training images out to ``labeled`` and ``unlabeled``, once."""
        if "fit" in self._checked:
            return
        pool, facts = self.files.labeled, self.facts("labeled")
        check_values(pool.labels or (), facts.counts, self.label_map())
        count = subset_size(self.share, len(pool))
        order = covering_order(self._present(facts.counts), seed=self.seed)
        kept, rest = sorted(order[:count]), sorted(order[count:])
        labeled = pool.take(kept, self._classes())
        check_images(labeled.images, labeled.labels or (), facts.sizes[kept])
        unlabeled = pool.take(rest).images
        if self.files.unlabeled is not None:
            unlabeled += self.files.unlabeled.images
        if len(unlabeled) == 1:
            rank_zero_warn(
                f"{unlabeled[0]} is left out: one unlabelled image is no use"
            )
            unlabeled = []
        self.labeled = labeled
        self.unlabeled = ImageFiles(unlabeled, root=self.root) if unlabeled else None
        self._checked.add("fit")

    def _evaluated(self, part: Literal["val", "test"]) -> ImageFiles | None:
        """Return a set to evaluate on, checked once, with classes for labels."""
        files: ImageFiles | None = getattr(self.files, part)
        if files is None:
            return None
        if part not in self._checked:
            facts, labels = self.facts(part), files.labels or ()
            check_values(labels, facts.counts, self.label_map())
            check_images(files.images, labels, facts.sizes)
            self._checked.add(part)
        return files.take(range(len(files)), self._classes())

    def _predicted(self) -> ImageFiles | None:
        if self.predict_folder is not None:
            folder = Path(self.predict_folder)
            files: ImageFiles | None = ImageFiles(list_images(folder), root=folder)
        else:
            files = self.files.unlabeled or self.files.val
        if files is not None:
            check_names(files)
            files = ImageFiles(files.images, root=files.root)
        return files

    def _classes(self) -> NDArray[np.uint8]:
        """Return the class of each raw value, uint8 ``(256,)``."""
        classes = np.full(256, VOID, np.uint8)
        for value, label in self.label_map().items():
            classes[value] = label
        return classes

    def _present(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether image i holds class c, bool ``(N, 256)``; never void."""
        present = np.zeros(counts.shape, dtype=bool)
        for value, label in self.label_map().items():
            if label != VOID:
                present[:, label] |= counts[:, value] > 0
        return present


def _workers() -> int:
    return min(4, (os.cpu_count() or 1) // 2)
