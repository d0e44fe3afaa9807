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
"""The 19 classes that are trained and scored; all others are void."""
CLASS_NAMES = tuple(c.name for c in TRAINED)
PALETTE = tuple(c.color for c in TRAINED)


class CityscapesDataModule(FileDataModule):
    """Cityscapes: street scenes of 50 cities, with the fine labels of 19 classes.

    ``leftImg8bit/train/CITY`` and ``leftImg8bit/val/CITY`` hold the images
    ``X_leftImg8bit.png``, ``gtFine`` in the same folders their labels
    ``X_gtFine_labelIds.png``. If they are not there, but the archives
    leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, these are unpacked. The
    labels of ``test`` are not public.

    Args:
        root: Folder that holds ``leftImg8bit`` and ``gtFine``.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all. The other images are used without labels. A smaller
            subset is part of a larger one; a greedy choice covers all classes first.
        split: Name of a published split, such as ``unimatch/1_8``, or path of a list
            file of the images that keep their labels, of which ``labeled`` takes the
            first; None draws them. The indices of ``olsson2021/0`` and so on refer to
            the sorted list of images here. The authors applied them to the order of a
            directory walk on their disk, so their exact subset is unknown.
        labels: Kind of the label files: ``labelIds``, or ``labelTrainIds`` as
            cityscapesscripts makes them of the others.
        train_extra: Whether the 20,000 images of ``leftImg8bit/train_extra`` are
            unlabeled images too. Their coarse labels are not needed.
        size: Height and width in pixels to which images are resized; None keeps them.
        crop: Height and width in pixels of random training crops.
        predict: Folder of the images to predict; None for those of ``train_extra`` if
            they are used, else for those of ``val``.
        seed: Seed for drawing the images that keep their labels.
        kwargs: Further arguments of `SemiSupervisedDataModule`.

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
        labeled: int | float | None = None,
        *,
        split: str | Path | None = None,
        labels: Literal["labelIds", "labelTrainIds"] = "labelIds",
        train_extra: bool = False,
        size: tuple[int, int] | None = None,
        crop: tuple[int, int] | None = (801, 801),
        predict: str | Path | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            root,
            labeled=labeled,
            split=split,
            size=size,
            crop=crop,
            predict=predict,
            seed=seed,
            **kwargs,
        )
        if labels not in LABELS:
            raise ValueError(f"labels must be one of {', '.join(LABELS)}, got {labels}")
        self.labels, self.train_extra = labels, train_extra

    def prepare_data(self) -> None:
        """Unpack the archives, if need be, in one process; ``setup`` tells faults."""
        with suppress(OSError, ValueError):
            self._found("train")

    def list_files(self) -> Files:
        """Return the images with their fine labels, and those of ``train_extra``."""
        labeled, faults = self._pairs("train")
        val, more = self._pairs("val")
        unlabeled = None
        if self.train_extra:
            folder = self.root / "leftImg8bit/train_extra"
            unlabeled = ImageFiles(list_images(folder), root=folder)
        return Files(labeled, unlabeled, val, faults=[*faults, *more])

    def label_map(self) -> Mapping[int, int]:
        """Return the 19 classes as ``labels`` counts them; all else is void."""
        if self.labels == "labelTrainIds":
            return {label: label for label in (*range(len(TRAINED)), VOID)}
        ids = [c.id for c in Cityscapes.classes if c.id >= 0]
        trained = {c.id: c.train_id for c in TRAINED}
        return {value: trained.get(value, VOID) for value in (*ids, VOID)}

    def _found(self, part: str) -> Cityscapes:
        """Return what torchvision finds, in the order of the disk.

        Raises:
            FileNotFoundError: If the folders are missing, and the archives too.
            ValueError: If an archive is broken, or a file stands among the folders of
                the cities.
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
                f"the archives in {self.root} must be whole, got {error}; fetch them"
                " again"
            ) from None
        except NotADirectoryError as error:
            raise ValueError(
                f"{self.root / 'leftImg8bit' / part} must hold folders of cities, and"
                f" no file, got {error.filename}"
            ) from None

    def _pairs(self, part: str) -> tuple[ImageFiles, list[str]]:
        """Return the images of one part with their labels, and every fault."""
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
        there = {
            str(path)
            for path in labels.glob(f"*/*{ending}")
            if not path.name.startswith(".")
        }
        if not there:
            remedy = f"; give labels={LABELS[0]!r}, or make them with cityscapesscripts"
            raise FileNotFoundError(
                f"{labels} must hold CITY/*{ending}, got none"
                f"{remedy if self.labels != LABELS[0] else ''}"
            )
        faults = [
            f"an image must have a name of its own, got {' and '.join(sorted(twins))}"
            for twins in images_by_label.values()
            if len(twins) > 1
        ]
        faults += [
            f"an image must have a label, got {images_by_label[label][0]} without"
            f" {label}"
            for label in images_by_label.keys() - there
        ]
        for label in there - images_by_label.keys():
            place = Path(label).relative_to(labels)
            name = place.name.removesuffix(ending)
            image = images / place.parent / f"{name}_leftImg8bit.png"
            faults.append(f"a label must have an image, got {label} without {image}")
        pairs = sorted(
            (images_by_label[label][0], label)
            for label in images_by_label.keys() & there
        )
        files = ImageFiles(
            (image for image, _ in pairs), (label for _, label in pairs), root=images
        )
        return files, sorted(faults)
