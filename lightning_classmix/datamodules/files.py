"""Base class for data modules that read image and label files."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning_classmix.datamodules.hyperparameters import save_arguments
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.datasets.folders.pairing import images_in, without_labels
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import MAX_IMAGE_PIXELS, raise_faults
from lightning_classmix.datasets.inspection.file_checks import check_first_files
from lightning_classmix.datasets.inspection.label_counts import (
    LabelCounts,
    LazyLabelCounts,
    classes_present,
)
from lightning_classmix.datasets.labels.class_info import ClassTable
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.preprocessing import fit_normalization
from lightning_classmix.datasets.splits import (
    SPLIT_FILE,
    check_resumed_split,
    read_split,
    write_split,
)
from lightning_classmix.datasets.subsets import (
    choose_labeled,
    divide_images,
    subset_size,
)

_WORKERS = min(4, (os.cpu_count() or 1) // 2)


class FileDataModule(SemiSupervisedDataModule, ABC):
    """Base class for data modules that read image and label files.

    A subclass returns its files in ``list_files`` and the meaning of label values in
    ``label_map``. Before the first step, all files are looked up, and the first 1,000
    labeled images of each set and the first 100 unlabeled images are read, so that a
    fault is an error that names its file.

    Args:
        root: Folder of the dataset.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all. The other images are used without labels. A smaller
            subset is part of a larger one; a greedy choice covers all classes first.
        split: Images that keep their labels; ``labeled`` takes the first of them. The
            name of a published split, such as ``unimatch/1_8``, for Cityscapes and
            Pascal VOC; or the path of a list file. None draws them.
        in_channels: Number of image channels. With 3, gray is repeated and alpha is
            dropped; else each file must have that many channels (TIFF files: bands).
        max_image_pixels: Largest number of pixels of an image; a larger file is an
            error.
        predict: Folder of the images to predict; None predicts the unlabeled images,
            or the validation images if there are none.
        seed: Seed for drawing the images that keep their labels.
        num_workers: Number of worker processes of each loader; 0 loads in the main
            process, None uses half of the cores, at most 4.
        kwargs: Further arguments of `SemiSupervisedDataModule`.
    """

    splits_of: ClassVar[str | None] = None
    """Dataset whose published splits ``split`` accepts by name."""

    def __init__(
        self,
        root: str | Path,
        *,
        labeled: int | float | None = None,
        split: str | Path | None = None,
        in_channels: int = 3,
        max_image_pixels: int = MAX_IMAGE_PIXELS,
        predict: str | Path | None = None,
        seed: int = 0,
        num_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        fit_normalization(kwargs, in_channels)
        super().__init__(
            labeled=(),
            unlabeled=None,
            val=None,
            test=None,
            seed=seed,
            num_workers=_WORKERS if num_workers is None else num_workers,
            **kwargs,
        )
        self.root = Path(root).expanduser()
        self.in_channels = in_channels
        self.max_image_pixels = max_image_pixels
        self.share = labeled
        self.predict_folder = predict
        self.split = None if split is None else str(split)
        save_arguments(self, self.transform)
        self._checked: set[str] = set()
        self._counts = LazyLabelCounts(lambda: self.listed)

    @abstractmethod
    def list_files(self) -> Files:
        """Return the files of each split. Override this."""

    @abstractmethod
    def label_map(self) -> Mapping[int, int]:
        """Return the class, or 255 for void, of each raw value. Override this."""

    @cached_property
    def listed(self) -> Files:
        """Files of each set and their faults; the folders are searched once."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"root must be a folder, got {self.root}")
        return self.list_files().read_with(self.in_channels, self.max_image_pixels)

    @property
    def files(self) -> Files:
        """Files of each set.

        Raises:
            ValueError: If there are faults; each file is named.
        """
        raise_faults(self.listed.faults)
        return self.listed

    @cached_property
    def classes(self) -> LabelMap:
        """Class of each raw value in the label files."""
        return self.class_table().label_map

    def class_table(
        self, counts: Mapping[str, LabelCounts] | None = None
    ) -> ClassTable:
        """Return the classes of the dataset.

        Args:
            counts: Raw values in the labels by ``labeled``, ``val`` and ``test``; None
                reads the label files, if the classes are not known without them.

        Raises:
            ValueError: If the classes cannot be inferred.
        """
        if self.num_classes is None:
            raise TypeError(f"{type(self).__name__} must define num_classes, got None")
        return ClassTable(
            self.num_classes, self.class_names, LabelMap(self.label_map())
        )

    def choose(self, counts: Mapping[str, LabelCounts] | None = None) -> list[int]:
        """Return the indices of the labeled images that keep their labels.

        Args:
            counts: Raw values in the labels by ``labeled``, ``val`` and ``test``; None
                reads all labels if a subset is to be drawn, and none otherwise.

        Returns:
            Indices in the order of the split.

        Raises:
            ValueError: If ``labeled`` or ``split`` does not fit the images.
        """
        pool = self.listed.labeled
        if self.split is None and self.share is not None:
            counts = self._counts if counts is None else counts
            label_map = self.class_table(counts).label_map
            present = classes_present(counts["labeled"], label_map, pool)
            return choose_labeled(present, self.share, seed=self.seed)
        order = list(range(len(pool)))
        if self.split is not None:
            order = read_split(self.split, pool.names(), dataset=self.splits_of)
        return order[: subset_size(self.share, len(order))]

    def setup(self, stage: str) -> None:
        """Check the files that ``stage`` needs, and choose which keep their labels.

        Raises:
            ValueError: If a file has a fault; each such file is named.
        """
        if self._estimated_range:
            self.resolve_value_range(self.listed.labeled)
        if stage == "fit":
            self._split_training_images()
        if stage in ("fit", "validate"):
            self.val = self._evaluation_files("val")
        if stage == "test":
            self.test = self._evaluation_files("test")
        if stage == "predict" and self.predict_folder is not None:
            files = images_in(Path(self.predict_folder))
            self.predict = files.read_with(self.in_channels, self.max_image_pixels)
        elif stage == "predict":
            self.predict = without_labels(self.files.unlabeled or self.files.val)
        super().setup(stage)

    def _split_training_images(self) -> None:
        """Split the training images into labeled and unlabeled, on the first call."""
        if "fit" in self._checked:
            return
        kept = sorted(self.choose())
        labeled, unlabeled = divide_images(self.files, kept, self.classes, self.root)
        self._check("labeled", labeled)
        self.labeled = labeled
        self.unlabeled = unlabeled
        if unlabeled is not None:
            check_first_files(unlabeled, self.value_range)
        self._checked.add("fit")

    def _evaluation_files(self, part: Literal["val", "test"]) -> ImageFiles | None:
        """Return a set to evaluate on, with classes for labels; check it once."""
        files: ImageFiles | None = getattr(self.files, part)
        if files is None:
            return None
        evaluated = files.take(range(len(files)), self.classes)
        if part not in self._checked:
            self._check(part, evaluated)
            self._checked.add(part)
        return evaluated

    def _check(self, part: str, files: ImageFiles) -> None:
        """Raise a ValueError for known faults, and for faults of the first files."""
        raise_faults(self._counts.known_faults(part))
        check_first_files(files, self.value_range)

    def train_dataloader(self) -> Any:
        """Return the loader of batches, and write the split to the run's folder."""
        trainer = self.trainer
        folder = trainer.log_dir if trainer and trainer.loggers else None
        if trainer and folder and trainer.is_global_zero:
            write_split(Path(folder) / SPLIT_FILE, self._labeled_names())
        return super().train_dataloader()

    def _labeled_names(self) -> list[str]:
        labeled = self.labeled
        return labeled.names() if isinstance(labeled, ImageFiles) else []

    def state_dict(self) -> dict[str, Any]:
        """Return the base seed and the names of the labeled images."""
        return super().state_dict() | {"split": self._labeled_names()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the base seed of a resumed run.

        Raises:
            ValueError: If that run had other labeled images.
        """
        super().load_state_dict(state)
        if "fit" in self._checked and "split" in state:
            check_resumed_split(state["split"], self._labeled_names())
