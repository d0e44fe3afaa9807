"""LightningDataModule for a folder of images and labels."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.folders.folder_layout import folder_files
from lightning_classmix.datasets.image_files import Files
from lightning_classmix.datasets.inspection.class_inference import LabelValues
from lightning_classmix.datasets.inspection.label_counts import LabelCounts
from lightning_classmix.datasets.labels.class_files import CLASSES_FILE, find_classes
from lightning_classmix.datasets.labels.class_info import Classes, ClassTable
from lightning_classmix.datasets.labels.label_map import LabelMap, check_classes
from lightning_classmix.datasets.labels.raw_values import (
    color_value,
    is_color,
    raw_value,
)
from lightning_classmix.ops import VOID


class FolderDataModule(FileDataModule):
    """Images in a folder, some of them with labels.

    Many arrangements are recognized; this one needs no search:
    ``images`` and ``labels`` hold labeled images and their labels under the same
    names, ``unlabeled`` the other images. Without ``unlabeled``, an image that has no
    label is an unlabeled image; otherwise a missing label is an error. ``val/images``
    and ``val/labels`` are the validation set; without them every fifth labeled image is
    held out. ``test`` has the same form as ``val`` and may be missing. Lists of files
    can replace the folders.

    Labels are PNG, TIFF or BMP files: the class of each pixel from 0 on and 255 for
    void, as whole numbers of any type or as indices of a palette; 0 and 255 for two
    classes; or colors, which ``palette`` or ``label_map`` maps to classes. Palette
    files are also read by their colors, if these are known. A file
    ``classes.yaml`` in the folder may hold ``num_classes``, ``class_names``,
    ``palette`` and ``label_map``, in place of these arguments.

    Args:
        root: Folder of the dataset, with subfolders such as ``images`` and ``labels``.
        num_classes: Number of classes; None uses the number of class names or colors,
            else the largest class in the label files of training and ``val``, plus 1.
        class_names: Names of the classes, in the order of their indices.
        palette: Colors of the classes, RGB in [0, 255], in the order of their indices;
            used for pictures, and to read label files that hold colors.
        label_map: Class index, or 255 for void, of each value in the label files; a
            value is a whole number or a color '#rrggbb'.
        image_dir: Folder of the training images, relative to ``root``; None searches
            for ``images``, ``img`` and similar names, also in ``train``.
        label_dir: Folder of the label files of the training images, relative to
            ``root``; None searches for ``labels``, ``masks``, ``gt`` and similar names,
            and for label files in the folder of the images.
        label_suffix: Text between the name of an image and ``.png`` in the name of its
            label file, such as ``_mask``; None recognizes common suffixes.
        train_list: CSV or text file of the training images, in place of the folders
            ``images``, ``labels`` and ``unlabeled``. Each line is ``image,label`` with
            paths relative to ``root``; an unlabeled image has an empty label.
        val_list: CSV or text file of the validation images, in the form of
            ``train_list``.
        test_list: CSV or text file of the test images, in the form of ``train_list``.
        crop: Height and width in pixels of random training crops; None uses whole
            images, which must then have the same size.
        kwargs: Further arguments of `FileDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        num_classes: int | None = None,
        *,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        label_map: dict[int | str, int] | None = None,
        image_dir: str | None = None,
        label_dir: str | None = None,
        label_suffix: str | None = None,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        crop: tuple[int, int] | None = (320, 320),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            root,
            crop=crop,
            num_classes=num_classes,
            class_names=class_names,
            palette=palette,
            **kwargs,
        )
        given = Classes(class_names, palette, label_map, num_classes)
        given.check("")
        self._given = given
        self._names = {
            "image_dir": image_dir,
            "label_dir": label_dir,
            "label_suffix": label_suffix,
        }
        self.lists = {"train": train_list, "val": val_list, "test": test_list}

    @cached_property
    def _class_info(self) -> Classes:
        """Classes as given by the arguments, else by the folder's file."""
        path, read = find_classes(self.root)
        given = {k: v for k, v in self._given._asdict().items() if v is not None}
        classes = read._replace(**given)
        classes.check(f" by arguments and {path}")
        return classes

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes; None if they are not given."""
        return self._class_info.class_names

    @property
    def palette(self) -> Sequence[tuple[int, int, int]] | None:
        """Colors of the classes, RGB in [0, 255]; None if they are not given."""
        return self._class_info.palette

    @cached_property
    def num_classes(self) -> int:
        """Number of classes, C; counted in the labels if it is not given."""
        return self._num_classes_from(self._counts)

    def label_map(self) -> Mapping[int, int]:
        """Return the given label map; by default one that keeps classes and void."""
        return self._label_map_from(self.num_classes, self._counts)

    def class_table(
        self, counts: Mapping[str, LabelCounts] | None = None
    ) -> ClassTable:
        """Return the classes, inferred from the labels if they are not given."""
        if counts is None or counts is self._counts:
            num_classes, counts = self.num_classes, self._counts
        else:
            num_classes = self._num_classes_from(counts)
        classes = self._label_map_from(num_classes, counts)
        info = self._class_info
        given = (info.num_classes, info.class_names, info.palette, info.label_map)
        inferred = given == (None, None, None, None)
        stretch = inferred and self._label_values(counts).stretch
        label_map = LabelMap(classes, stretch=stretch)
        return ClassTable(num_classes, self.class_names, label_map)

    def _num_classes_from(self, counts: Mapping[str, LabelCounts]) -> int:
        info = self._class_info
        listed = info.class_names or info.palette
        if info.num_classes is not None:
            count = info.num_classes
        elif listed:
            count = len(listed)
        elif info.label_map is not None:
            classes = {*info.label_map.values()} - {VOID}
            count = max(classes, default=-1) + 1
        else:
            values = self._label_values(counts)
            count = 2 if values.binary else values.count_classes()
            source = f"the labels in {self.lists['train'] or self.root}"
            if values.binary:
                source = "0 and 255 in most labels; label_map may say otherwise"
            rank_zero_info(f"num_classes is {count}, by {source}")
        if not 2 <= count <= VOID:
            raise ValueError(f"num_classes must be in [2, {VOID}], got {count}")
        return count

    def _label_map_from(
        self, num_classes: int, counts: Mapping[str, LabelCounts]
    ) -> dict[int, int]:
        table, palette = self._class_info.label_map, self.palette
        if table is not None:
            classes = {raw_value(key): label for key, label in table.items()}
        elif num_classes == 2 and self._label_values(counts).binary:
            classes = {0: 0, VOID: 1}
        else:
            classes = {value: value for value in (*range(num_classes), VOID)}
        if palette and not any(map(is_color, classes)):
            classes |= {
                color_value(*color): label for label, color in enumerate(palette)
            }
        check_classes(classes, num_classes)
        return classes

    def _label_values(self, counts: Mapping[str, LabelCounts]) -> LabelValues:
        """Return the values in the labels of training and validation."""
        parts = {"labeled": self.listed.labeled, "val": self.listed.val}
        return LabelValues(
            (
                (files, counts[name])
                for name, files in parts.items()
                if files is not None
            ),
            faults=self.listed.faults,
            remedy=f"here or in {self.root / CLASSES_FILE}",
        )

    def list_files(self) -> Files:
        """Return the files; without ``val``, every fifth labeled image is held out."""
        lists = {
            # A list may be relative to root.
            part: Path(path) if Path(path).is_file() else self.root / path
            for part, path in self.lists.items()
            if path is not None
        }
        parts = {part: lists.get(part) for part in self.lists}
        return folder_files(self.root, parts, **self._names)
