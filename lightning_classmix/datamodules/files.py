"""Base class for data modules that read image and label files."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.datasets.file_checks import LabelFacts, check_first, read_facts
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import list_images, raise_faults
from lightning_classmix.datasets.label_map import LabelMap
from lightning_classmix.datasets.pairing import check_names
from lightning_classmix.datasets.paths import Paths
from lightning_classmix.datasets.splits import (
    covering_order,
    read_split,
    subset_size,
    write_split,
)
from lightning_classmix.datasets.transforms import plain_pipeline
from lightning_classmix.ops import VOID

SPLIT_FILE = "split.txt"
"""What the labeled images of a run are written to, in its folder."""


class FileDataModule(SemiSupervisedDataModule, ABC):
    """Base class for data modules that read image and label files.

    A subclass returns its files in ``list_files`` and the meaning of label values in
    ``label_map``. Before the first step, all files are looked up, and the first 1,000
    labeled images of each set and the first 100 unlabeled images are read, so that a
    fault is one error that names its file.

    Args:
        root: Folder of the dataset.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all. The other images are used without labels. A smaller
            subset is part of a larger one, and holds every class if it can.
        split: Name of a published split, such as ``unimatch/1_8``, or path of a list
            file: the images that keep their labels, of which ``labeled`` takes the
            first. None draws them.
        predict: Folder of the images to predict; None predicts the unlabeled images,
            or those of ``val`` if there are none.
        seed: Seed for drawing the images that keep their labels.
        num_workers: Number of worker processes of each loader; 0 loads in the main
            process, None uses half of the cores, at most 4.
        kwargs: Further arguments of `SemiSupervisedDataModule`.
    """

    splits_of: ClassVar[str | None] = None
    """Set whose splits are known by name."""

    def __init__(
        self,
        root: str | Path,
        *,
        labeled: int | float | None,
        split: str | Path | None,
        predict: str | Path | None,
        seed: int,
        num_workers: int | None = None,
        **kwargs: Any,
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
        self.root = Path(root).expanduser()
        self.share, self.predict_folder = labeled, predict
        self.split = None if split is None else str(split)
        self.save_hyperparameters(ignore=["transform"], logger=False)
        for name, value in self.hparams.items():  # checkpoints hold plain values
            if isinstance(value, Path):
                self.hparams[name] = str(value)
        if self.transform is not None:
            self.hparams["transform"] = plain_pipeline(self.transform)
        self._checked: set[str] = set()
        self.known_facts: dict[str, LabelFacts] = {}
        """What was read of labels so far, by the part of the files."""

    @abstractmethod
    def list_files(self) -> Files:
        """Return the files of each split. Override this."""

    @abstractmethod
    def label_map(self) -> Mapping[int, int]:
        """Return the class, or 255 for void, of each raw value. Override this."""

    @cached_property
    def listed(self) -> Files:
        """The files, looked for once, whatever faults were met."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"root must be a folder, got {self.root}")
        return self.list_files()

    @property
    def files(self) -> Files:
        """The files.

        Raises:
            ValueError: If there are faults; it names each file.
        """
        raise_faults(self.listed.faults)
        return self.listed

    @cached_property
    def classes(self) -> LabelMap:
        """What the raw values of the label files mean."""
        return LabelMap(self.label_map())

    def facts(self, part: Literal["labeled", "val", "test"]) -> LabelFacts:
        """Return what the labels of one part of the files hold; they are read once."""
        if part not in self.known_facts:
            files: ImageFiles | None = getattr(self.listed, part)
            files = files or ImageFiles((), (), root=self.root)
            self.known_facts[part] = read_facts(files)
        return self.known_facts[part]

    def setup(self, stage: str) -> None:
        """Check the files that ``stage`` needs, and choose which keep their labels.

        Raises:
            FileNotFoundError: If a folder is missing.
            ValueError: If a file has a fault; it names each such file.
        """
        if stage == "fit":
            self._split_training_images()
        if stage in ("fit", "validate"):
            self.val = self._evaluated("val")
        if stage == "test":
            self.test = self._evaluated("test")
        if stage == "predict":
            self.predict = self._predicted()
        super().setup(stage)

    def choose(self) -> list[int]:
        """Return which of the labeled images keep their labels, in order of the split.

        All labels are read if a subset is to be drawn, and none if it is given.
        """
        pool = self.listed.labeled
        if self.split is not None:
            order = read_split(self.split, pool.names(), dataset=self.splits_of)
        elif self.share is None:
            order = list(range(len(pool)))
        else:
            order = covering_order(self._present(pool), seed=self.seed)
        return order[: subset_size(self.share, len(order))]

    def _split_training_images(self) -> None:
        """Split the training images into labeled and unlabeled, once."""
        if "fit" in self._checked:
            return
        pool, more = self.files.labeled, self.files.unlabeled
        kept = sorted(self.choose())
        rest = sorted({*range(len(pool))} - {*kept})
        labeled = pool.take(kept, self.classes)
        self._check("labeled", labeled)
        unlabeled = more.images if more else Paths()
        if rest:
            unlabeled = Paths([*pool.images.take(rest).strings(), *unlabeled.strings()])
        if len(unlabeled) == 1:
            rank_zero_warn(
                f"{unlabeled[0]} is left out: one unlabeled image is no use, as each"
                " is pasted into another; add more, or use Supervised"
            )
            unlabeled = Paths()
        self.labeled = labeled
        self.unlabeled = None
        if unlabeled:
            self.unlabeled = ImageFiles(unlabeled, root=self.root)
            check_first(self.unlabeled)
        self._checked.add("fit")

    def _evaluated(self, part: Literal["val", "test"]) -> ImageFiles | None:
        """Return a set to evaluate on, checked once, with classes for labels."""
        files: ImageFiles | None = getattr(self.files, part)
        if files is None:
            return None
        evaluated = files.take(range(len(files)), self.classes)
        if part not in self._checked:
            self._check(part, evaluated)
            self._checked.add(part)
        return evaluated

    def _check(self, part: str, files: ImageFiles) -> None:
        """Raise a ValueError for what was met already, or is met in the first files."""
        if part in self.known_facts:
            raise_faults(self.known_facts[part].faults)
        check_first(files)

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

    def _present(self, pool: ImageFiles) -> NDArray[np.bool_]:
        """Return whether image i holds class c, bool ``(N, 256)``; never void."""
        facts = self.facts("labeled")
        raise_faults(facts.faults)
        classes = self.classes.look_up(facts.values)
        wrong = np.flatnonzero(facts.counts[:, classes < 0].any(axis=1)).tolist()
        raise_faults(
            self.classes.fault(facts.values, facts.counts[index], path=path)
            for index, path in zip(wrong, pool.take(wrong).labels or (), strict=True)
        )
        present = np.zeros((len(facts.counts), VOID + 1), dtype=bool)
        for label, counts in zip(classes, facts.counts.T, strict=True):
            present[:, label] |= counts > 0
        present[:, VOID] = False
        return present

    def train_dataloader(self) -> Any:
        """Return the loader of batches, and write the split to the run's folder."""
        trainer = self.trainer
        if trainer is not None and trainer.loggers and trainer.log_dir:
            path = Path(trainer.log_dir) / SPLIT_FILE  # the same on all devices
            if trainer.is_global_zero:
                write_split(path, self._labeled_names())
        return super().train_dataloader()

    def _labeled_names(self) -> list[str]:
        labeled = self.labeled
        return labeled.names() if isinstance(labeled, ImageFiles) else []

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must share with this one: the split, too."""
        return super().state_dict() | {"split": self._labeled_names()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the base seed of the run that is resumed.

        Raises:
            ValueError: If other images were labeled there.
        """
        super().load_state_dict(state)
        if "fit" not in self._checked or "split" not in state:
            return
        then, now = {*state["split"]}, {*self._labeled_names()}
        if then != now:
            other = sorted(then ^ now)
            raise ValueError(
                "the labeled images of a resumed run must be those that it began with,"
                f" got {len(now)} for {len(then)}, of which {len(then & now)} are the"
                f" same ({other[0]} is not); give the same labeled, seed and split, or"
                f" that run's {SPLIT_FILE} as split"
            )


def _workers() -> int:
    return min(4, (os.cpu_count() or 1) // 2)
