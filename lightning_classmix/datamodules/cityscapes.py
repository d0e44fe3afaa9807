"""LightningDataModule for Cityscapes."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from torchvision.datasets import Cityscapes

from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.image_io import IMAGE_SUFFIXES, list_images
from lightning_classmix.ops import VOID

LABELS = ("labelIds", "labelTrainIds")
TRAINED = sorted(
    (c for c in Cityscapes.classes if c.train_id not in (VOID, -1)),
    key=lambda c: c.train_id,
)
"""The 19 classes of training and evaluation; all others are void."""
CLASS_NAMES = tuple(c.name for c in TRAINED)
PALETTE = tuple(c.color for c in TRAINED)


class CityscapesDataModule(FileDataModule):
    """Cityscapes: street scenes of 50 cities, with the fine labels of 19 classes.

    ``leftImg8bit/train/CITY`` and ``leftImg8bit/val/CITY`` hold the images
    ``X_leftImg8bit.png``, the same folders in ``gtFine`` their labels
    ``X_gtFine_labelIds.png``. If these folders are missing, the archives
    leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip in ``root`` are unpacked.
    The labels of ``test`` are not public. The indices of the splits ``olsson2021/0``,
    ``olsson2021/1`` and ``olsson2021/2`` refer to the sorted list of images. The
    authors applied them to the order of their file system, so their exact subsets are
    unknown.

    Args:
        root: Folder that holds ``leftImg8bit`` and ``gtFine``.
        labels: Kind of the label files: ``labelIds``, or ``labelTrainIds``, which
            cityscapesscripts creates from them.
        train_extra: Use the 20,000 images in ``leftImg8bit/train_extra`` as unlabeled
            images too. Their coarse labels are not needed.
        crop: Height and width in pixels of random training crops.
        kwargs: Further arguments of `FileDataModule`. ``predict=None`` predicts the
            images of ``train_extra`` if they are used, else those of ``val``.

    Source:
        Cordts et al. 2016 (arXiv 1604.01685); torchvision for the classes and colors.
    """

    splits_of = "cityscapes"

    num_classes = len(CLASS_NAMES)
    class_names = CLASS_NAMES
    palette = PALETTE

    def __init__(
        self,
        root: str | Path,
        *,
        labels: Literal["labelIds", "labelTrainIds"] = "labelIds",
        train_extra: bool = False,
        crop: tuple[int, int] | None = (801, 801),
        **kwargs: Any,
    ) -> None:
        super().__init__(root, crop=crop, **kwargs)
        if labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, got {labels}")
        self.labels, self.train_extra = labels, train_extra

    def prepare_data(self) -> None:
        """Unpack the archives if necessary, in one process; `setup` reports faults."""
        with suppress(OSError, ValueError):
            self._found("train")

    def list_files(self) -> Files:
        """Return the images with fine labels, and the images of ``train_extra``."""
        labeled, faults = self._pairs("train")
        val, more = self._pairs("val")
        unlabeled = None
        if self.train_extra:
            folder = self.root / "leftImg8bit/train_extra"
            unlabeled = ImageFiles(list_images(folder), root=folder)
        return Files(labeled, unlabeled, val, faults=[*faults, *more])

    def label_map(self) -> Mapping[int, int]:
        """Return the class of each value in ``labels``; 255 for all but 19 classes."""
        if self.labels == "labelTrainIds":
            return {label: label for label in (*range(len(TRAINED)), VOID)}
        ids = [c.id for c in Cityscapes.classes if c.id >= 0]
        trained = {c.id: c.train_id for c in TRAINED}
        return {value: trained.get(value, VOID) for value in (*ids, VOID)}

    def _found(self, part: str) -> Cityscapes:
        """Return the files that torchvision finds, in the order of the file system.

        Raises:
            FileNotFoundError: If the folders and the archives are missing.
            ValueError: If an archive cannot be read, or a file is not in the folder of
                a city.
        """
        try:
            return Cityscapes(
                self.root, split=part, mode="fine", target_type="semantic"
            )
        except RuntimeError:
            needed = (f"leftImg8bit/{part}", f"gtFine/{part}")
            missing = [name for name in needed if not (self.root / name).is_dir()]
            raise FileNotFoundError(
                f"root must hold {' and '.join(needed)}, or the archives"
                " leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, got no"
                f" {' and no '.join(missing)} in {self.root}; download them from"
                " cityscapes-dataset.com"
            ) from None
        except BadZipFile as error:
            raise ValueError(
                f"the archives in {self.root} must be complete, got {error}; download"
                " them again"
            ) from None
        except NotADirectoryError as error:
            raise ValueError(
                f"{self.root / 'leftImg8bit' / part} must hold folders of cities"
                f" only, got the file {error.filename}"
            ) from None

    def _pairs(self, part: str) -> tuple[ImageFiles, list[str]]:
        """Return the images of a split with their labels, and every fault."""
        images, labels = self.root / "leftImg8bit" / part, self.root / "gtFine" / part
        found = self._found(part)
        images_by_label: dict[str, list[str]] = {}  # label file to images
        for image, (label,) in zip(found.images, found.targets, strict=True):
            name = Path(image).name.lower()
            if name.endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                label = label.removesuffix(f"{LABELS[0]}.png") + f"{self.labels}.png"
                images_by_label.setdefault(label, []).append(image)
        if not images_by_label:
            raise ValueError(f"{images} must hold CITY/*_leftImg8bit.png, got none")

        ending = f"_gtFine_{self.labels}.png"
        existing = {
            str(path)
            for path in labels.glob(f"*/*{ending}")
            if not path.name.startswith(".")
        }
        if not existing:
            remedy = (
                f"; give labels={LABELS[0]!r}, or create them with cityscapesscripts"
            )
            raise FileNotFoundError(
                f"{labels} must hold CITY/*{ending}, got none"
                f"{remedy if self.labels != LABELS[0] else ''}"
            )
        faults = [
            f"images must have different names, got {' and '.join(sorted(group))}"
            for group in images_by_label.values()
            if len(group) > 1
        ]
        faults += [
            f"an image must have a label, got {images_by_label[label][0]} without"
            f" {label}"
            for label in images_by_label.keys() - existing
        ]
        for label in existing - images_by_label.keys():
            relative = Path(label).relative_to(labels)
            name = relative.name.removesuffix(ending)
            image = images / relative.parent / f"{name}_leftImg8bit.png"
            faults.append(f"a label must have an image, got {label} without {image}")
        pairs = sorted(
            (images_by_label[label][0], label)
            for label in images_by_label.keys() & existing
        )
        files = ImageFiles(
            (image for image, _ in pairs), (label for _, label in pairs), root=images
        )
        return files, sorted(faults)
