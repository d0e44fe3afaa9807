"""LightningDataModule for Pascal VOC 2012."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torchvision.datasets import VOCSegmentation

from lightning_classmix.colors import default_palette
from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.splits import training_names
from lightning_classmix.ops import VOID

BASE = "VOCdevkit/VOC2012"
TRAIN = ("train", "train_aug")
CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
PALETTE = tuple(default_palette(len(CLASS_NAMES)))  # the colors of VOC


class PascalVOCDataModule(FileDataModule):
    """Pascal VOC 2012: photographs of objects of 20 classes, and background.

    ``root`` holds ``VOCdevkit/VOC2012`` and in it ``JPEGImages``,
    ``ImageSets/Segmentation`` and ``SegmentationClass``. The training set is
    ``train_aug``, 10,582 images whose labels, also those of the original training set,
    are in ``SegmentationClassAug``; or ``train``, the 1,464 original training images.
    Images differ in size: training needs ``crop`` or ``size``, and ``val_batch_size``
    must be 1.

    Args:
        root: Folder that holds ``VOCdevkit``.
        train: Training set: ``train_aug``, listed by train_aug.txt or trainaug.txt in
            ``ImageSets/Segmentation`` if there is such a file, else by the list in
            this package; or ``train``.
        download: Download the original dataset with torchvision if it is missing, 2 GB.
            ``SegmentationClassAug`` is not part of it.
        crop: Height and width in pixels of random training crops.
        kwargs: Further arguments of `FileDataModule`. ``predict=None`` predicts the
            validation images.

    Source:
        Everingham et al. 2010; its development kit for the colors. Hariharan et al.
        2011 for the labels of ``train_aug``.
    """

    splits_of = "pascal_voc"

    num_classes = len(CLASS_NAMES)
    class_names = CLASS_NAMES
    palette = PALETTE

    def __init__(
        self,
        root: str | Path,
        train: Literal["train", "train_aug"] = "train_aug",
        *,
        download: bool = False,
        crop: tuple[int, int] | None = (321, 321),
        **kwargs: Any,
    ) -> None:
        super().__init__(root, crop=crop, **kwargs)
        if train not in TRAIN:
            raise ValueError(f"train must be one of {', '.join(TRAIN)}, got {train}")
        self.train, self.download = train, download
        self.base = self.root / BASE

    def prepare_data(self) -> None:
        """Download the original dataset if necessary, in one process.

        Raises:
            OSError: If the download fails.
        """
        if not self.download or self._is_complete():
            return
        try:
            VOCSegmentation(self.root, year="2012", image_set="train", download=True)
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"download must reach the dataset, got {error}; copy"
                f" VOCtrainval_11-May-2012.tar to {self.root}"
            ) from error

    def list_files(self) -> Files:
        """Return the training and validation images with their labels."""
        val, faults = self._original("val")
        if self.train == "train_aug":
            labeled, more = self._augmented()
        else:
            labeled, more = self._original("train")
        twice = sorted({*labeled.names()} & {*val.names()})
        if twice:
            more.append(
                f"{self.train} and val must share no image, got {len(twice)} in both,"
                f" such as {', '.join(twice[:3])}"
            )
        return Files(labeled, val=val, faults=[*faults, *more])

    def label_map(self) -> Mapping[int, int]:
        """Return the identity for the classes, and void for 255, the borders."""
        return {value: value for value in (*range(len(CLASS_NAMES)), VOID)}

    def _is_complete(self) -> bool:
        try:
            return not any(self._original(part)[1] for part in ("train", "val"))
        except FileNotFoundError:
            return False

    def _original(self, part: str) -> tuple[ImageFiles, list[str]]:
        """Return a split of the original dataset as torchvision lists it."""
        listed = f"ImageSets/Segmentation/{part}.txt"
        for name in ("", listed, "JPEGImages", "SegmentationClass"):
            self._require(name, "download=True downloads the original dataset")
        found = VOCSegmentation(self.root, year="2012", image_set=part)
        names = [Path(path).stem for path in found.images]
        return self._pairs(names, "SegmentationClass", str(self.base / listed))

    def _augmented(self) -> tuple[ImageFiles, list[str]]:
        """Return the images of ``train_aug`` with the labels of that set."""
        self._require(
            "SegmentationClassAug",
            "add these labels of train_aug, which download=True does not provide, or"
            " give train='train'",
        )
        for name in ("train_aug.txt", "trainaug.txt"):
            path = self.base / "ImageSets/Segmentation" / name
            if path.is_file():
                lines = path.read_text(encoding="utf-8-sig").split("\n")
                # A line may hold image and label with their folders and suffixes.
                names = [Path(line.split()[0]).stem for line in lines if line.strip()]
                return self._pairs(names, "SegmentationClassAug", str(path))
        names = training_names("pascal_voc")
        return self._pairs(names, "SegmentationClassAug", "the list of train_aug")

    def _require(self, name: str, remedy: str) -> None:
        """Raise a FileNotFoundError if a file or folder of the dataset is missing."""
        if (self.base / name).exists():
            return
        if not self.base.is_dir():
            parents = {"VOC2012": "VOCdevkit", "JPEGImages": "VOC2012"}
            for child, parent in parents.items():
                if (self.root / child).is_dir():
                    raise FileNotFoundError(
                        f"root must hold {BASE}, got {self.root}, which is {parent}"
                        " itself; give the folder that holds VOCdevkit"
                    )
        missing = f"{BASE}/{name}".rstrip("/")
        raise FileNotFoundError(
            f"root must hold {missing}, got none in {self.root}; {remedy}"
        )

    def _pairs(
        self, names: Sequence[str], label_folder: str, listed: str
    ) -> tuple[ImageFiles, list[str]]:
        """Return the listed images that have labels, sorted, and every fault."""
        images, labels = self.base / "JPEGImages", self.base / label_folder
        counts = Counter(name for name in names if not name.startswith("."))
        faults = [] if counts else [f"{listed} must name images, got none"]
        faults += [
            f"an image must occur once in {listed}, got {name} {count} times"
            for name, count in counts.items()
            if count > 1
        ]
        has_image = {path.name for path in images.iterdir()}
        has_label = {path.name for path in labels.iterdir()}
        pairs = []
        for name in sorted(counts):
            image, label = f"{name}.jpg", f"{name}.png"
            if image not in has_image:
                faults.append(
                    f"an image of {listed} must exist, got no {images / image}"
                )
            elif label not in has_label:
                faults.append(
                    f"an image must have a label, got {images / image} without"
                    f" {labels / label}"
                )
            else:
                pairs.append((images / image, labels / label))
        files = ImageFiles(
            (image for image, _ in pairs), (label for _, label in pairs), root=images
        )
        return files, faults
