"""LightningDataModule for a folder of images and labels."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.class_inference import LabelValues
from lightning_classmix.datasets.class_info import Classes, read_classes
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import list_images, stem
from lightning_classmix.datasets.label_map import (
    COLOR,
    check_classes,
    color_value,
    raw_value,
)
from lightning_classmix.datasets.pairing import pair_up, read_list
from lightning_classmix.ops import VOID

_FIFTH = 5
CLASSES_FILE = "classes.yaml"


class FolderDataModule(FileDataModule):
    """Images in a folder, some of them with labels.

    ``images`` and ``labels`` hold labeled images and their labels under the same
    names, ``unlabeled`` the other images. Without ``unlabeled``, an image that has no
    label is an unlabeled one; with it, that is a fault. ``val/images`` and
    ``val/labels`` are there to validate on; without them every fifth labeled image
    is held out. ``test`` is like ``val``, and may be missing. Lists of files may take
    the place of the folders.

    Labels are PNG, TIFF or BMP files: the class of each pixel from 0 on and 255 for
    void, of 8 or 16 bits, as numbers or as indices of a palette; 0 and 255 for two
    classes; or colors, of which ``palette`` or ``label_map`` is the table. What
    ``classes.yaml`` in the folder says of ``num_classes``, ``class_names``, ``palette``
    and ``label_map`` stands for these arguments.

    Args:
        root: Folder that holds the folders above.
        num_classes: Number of classes; None uses the number of class names or colors,
            else the largest class in the label files of training and ``val``, plus 1.
        class_names: Names of the classes, in the order of their indices.
        palette: Colors of the classes, RGB in [0, 255], in the order of their indices;
            used for pictures, and to read label files that hold colors.
        label_map: Class index, or 255 for void, of each value in the label files; a
            value is a number or a color '#rrggbb'.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all. The other images are used without labels. A smaller
            subset is part of a larger one; a greedy choice covers all classes first.
        split: Path of a list file of the images that keep their labels, of which
            ``labeled`` takes the first; None draws them.
        train_list: CSV or text file of the training images in place of ``images``,
            ``labels`` and ``unlabeled``: ``image,label`` on each line, the label empty
            where there is none, relative to ``root``.
        val_list: CSV or text file of the validation images, in the same form.
        test_list: CSV or text file of the test images, in the same form.
        crop: Height and width in pixels of random training crops; None uses whole
            images, which must then have one size.
        predict: Folder of the images to predict; None predicts the unlabeled images.
        seed: Seed for drawing the images that keep their labels.
        kwargs: Further arguments of `SemiSupervisedDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        num_classes: int | None = None,
        *,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        label_map: dict[int | str, int] | None = None,
        labeled: int | float | None = None,
        split: str | Path | None = None,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        crop: tuple[int, int] | None = (320, 320),
        predict: str | Path | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            root,
            labeled=labeled,
            split=split,
            crop=crop,
            predict=predict,
            seed=seed,
            num_classes=num_classes,
            class_names=class_names,
            palette=palette,
            **kwargs,
        )
        given = Classes(class_names, palette, label_map, num_classes)
        given.check("")
        self._given = given
        self.lists = {"train": train_list, "val": val_list, "test": test_list}

    @cached_property
    def _class_info(self) -> Classes:
        """Names, palette and label map: from arguments, else from the folder's file."""
        paths = [self.root / name for name in (CLASSES_FILE, "classes.yml")]
        path = next((path for path in paths if path.is_file()), paths[0])
        read = read_classes(path) if path.is_file() else Classes()
        given = {k: v for k, v in self._given._asdict().items() if v is not None}
        classes = read._replace(**given)
        classes.check(f" by arguments and {path}")
        return classes

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes; None if nothing tells them."""
        return self._class_info.class_names

    @property
    def palette(self) -> Sequence[tuple[int, int, int]] | None:
        """Colors of the classes, RGB in [0, 255]; None if nothing tells them."""
        return self._class_info.palette

    @cached_property
    def num_classes(self) -> int:
        """Number of classes, C; counted in the labels if nothing tells it."""
        listed = self.class_names or self.palette
        if self._class_info.num_classes is not None:
            count = self._class_info.num_classes
        elif listed:
            count = len(listed)
        elif self._class_info.label_map is not None:
            classes = {*self._class_info.label_map.values()} - {VOID}
            count = max(classes, default=-1) + 1
        else:
            count, source = self._counted()
            rank_zero_info(f"num_classes is {count}, by {source}")
        if not 2 <= count <= VOID:
            raise ValueError(f"num_classes must be in [2, {VOID}], got {count}")
        return count

    def _counted(self) -> tuple[int, str]:
        if self._values.binary:
            return 2, "0 and 255 in most labels; label_map may say otherwise"
        source = f"the labels in {self.lists['train'] or self.root / 'labels'}"
        return self._values.count_classes(), source

    def label_map(self) -> Mapping[int, int]:
        """Return the given label map, else one that keeps classes and void."""
        table, palette = self._class_info.label_map, self.palette
        if table is not None:
            classes = {raw_value(key): label for key, label in table.items()}
        elif self.num_classes == 2 and self._values.binary:
            classes = {0: 0, VOID: 1}
        else:
            classes = {value: value for value in (*range(self.num_classes), VOID)}
        if palette and not any(value & COLOR for value in classes):
            classes |= {
                color_value(*color): label for label, color in enumerate(palette)
            }
        check_classes(classes, self.num_classes)
        return classes

    @cached_property
    def _values(self) -> LabelValues:
        parts: tuple[Literal["labeled", "val"], ...] = ("labeled", "val")
        known = [(getattr(self.listed, part), part) for part in parts]
        return LabelValues(
            ((files, self.facts(part)) for files, part in known if files is not None),
            faults=self.listed.faults,
            remedy=f"here or in {self.root / CLASSES_FILE}",
        )

    def list_files(self) -> Files:
        """Return the files; without ``val``, every fifth labeled image is held out."""
        if self.lists["train"] is not None:
            path = self._list(self.lists["train"])
            labeled, unlabeled, faults = read_list(path, self.root)
        else:
            labeled, unlabeled, faults = self._folders()
        val, more = self._evaluation_files("val")
        test, others = self._evaluation_files("test")
        if val is None:
            labeled, val = self._hold_out(labeled)
        if any(self.lists.values()):  # which may overlap, as folders cannot
            faults += _shared((labeled, unlabeled), (val, test))
        return Files(
            labeled=labeled,
            unlabeled=unlabeled if len(unlabeled) else None,
            val=val,
            test=test,
            faults=[*faults, *more, *others],
        )

    def _list(self, path: str | Path) -> Path:
        """Return where a list is: there, or in the folder."""
        return Path(path) if Path(path).is_file() else self.root / path

    def _folders(self) -> tuple[ImageFiles, ImageFiles, list[str]]:
        folder, labels = self.root / "images", self.root / "labels"
        others = self.root / "unlabeled"
        images = list_images(folder)
        if others.is_dir():
            unlabeled = list_images(others)
        else:
            others = folder
            named = {stem(path, labels) for path in list_images(labels).strings()}
            has = [stem(path, folder) in named for path in images.strings()]
            unlabeled = images.take([i for i, labeled in enumerate(has) if not labeled])
            images = images.take([i for i, labeled in enumerate(has) if labeled])
        labeled, faults = pair_up(images, folder, labels)
        return labeled, ImageFiles(unlabeled, root=others), faults

    def _evaluation_files(self, name: str) -> tuple[ImageFiles | None, list[str]]:
        path, folder = self.lists[name], self.root / name
        if path is not None:
            files, unlabeled, faults = read_list(self._list(path), self.root)
            faults += [
                f"an image in {path} must have a label, got {image} alone"
                for image in unlabeled.images.strings()
            ]
            return files, faults
        if not folder.is_dir():
            return None, []
        images = folder / "images"
        return pair_up(list_images(images), images, folder / "labels")

    def _hold_out(self, pairs: ImageFiles) -> tuple[ImageFiles, ImageFiles | None]:
        held = range(_FIFTH - 1, len(pairs), _FIFTH)
        if held:
            rank_zero_info(
                f"{len(held)} of {len(pairs)} labeled images are held out for"
                f" validation, every fifth: there is no {self.root / 'val'}"
            )
        else:
            rank_zero_warn(
                f"nothing is validated: {len(pairs)} labeled images are too few to"
                f" hold every fifth out, and there is no {self.root / 'val'}"
            )
        rest = [index for index in range(len(pairs)) if index not in held]
        return pairs.take(rest), pairs.take(held) if held else None


def _shared(
    trained: Iterable[ImageFiles], evaluated: Iterable[ImageFiles | None]
) -> list[str]:
    """Name every image that is both trained on and evaluated on."""
    held = {path for part in evaluated if part for path in part.images.strings()}
    both = held.intersection(path for part in trained for path in part.images.strings())
    return [
        f"an image must be trained on or evaluated on, got {path} in both"
        for path in sorted(both)
    ]
