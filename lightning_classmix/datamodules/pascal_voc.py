"""LightningDataModule for Pascal VOC 2012."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torchvision.datasets import VOCSegmentation

from lightning_classmix.colors import default_palette
from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.splits import list_of
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
PALETTE = tuple(default_palette(len(CLASS_NAMES)))  # it is the set's own


class PascalVOCDataModule(FileDataModule):
    """Pascal VOC 2012: photographs of things of 20 kinds, and background.

    ``root`` holds ``VOCdevkit/VOC2012`` and in it ``JPEGImages``,
    ``ImageSets/Segmentation`` and ``SegmentationClass``. Training is on ``train_aug``:
    10,582 images with the labels of ``SegmentationClassAug``, which hold for the
    original training images too; or on ``train``, these 1,464. Images differ in size:
    training needs ``crop`` or ``size``, and ``val_batch_size`` stays 1.

    Args:
        root: Folder that holds ``VOCdevkit``.
        train: Training images: ``train_aug``, by the list train_aug.txt or trainaug.txt
            in ``ImageSets/Segmentation`` if there is one, else by the common list; or
            ``train``.
        labeled: Number of training images that keep their labels, or their share in
            (0, 1]; None keeps all. The other images are used without labels. A smaller
            subset is part of a larger one; a greedy choice covers all classes first.
        split: Name of a published split, such as ``unimatch/1_8``, or path of a list
            file of the images that keep their labels, of which ``labeled`` takes the
            first; None draws them.
        download: Fetch the original data set by torchvision if it is not there, 2 GB.
            ``SegmentationClassAug`` is not part of it and has to be brought.
        crop: Height and width in pixels of random training crops.
        predict: Folder of the images to predict; None for those of ``val``.
        seed: Seed for drawing the images that keep their labels.
        kwargs: Further arguments of `SemiSupervisedDataModule`.

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
        labeled: int | float | None = None,
        *,
        split: str | Path | None = None,
        download: bool = False,
        crop: tuple[int, int] | None = (321, 321),
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
            **kwargs,
        )
        if train not in TRAIN:
            raise ValueError(f"train must be one of {', '.join(TRAIN)}, got {train}")
        self.train, self.download = train, download
        self.base = self.root / BASE

    def prepare_data(self) -> None:
        """Fetch the original data set, in one process, if that is wanted and needed.

        Raises:
            OSError: If it cannot be fetched.
        """
        if not self.download or self._is_whole():
            return
        try:
            VOCSegmentation(self.root, year="2012", image_set="train", download=True)
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"download must find the data set, got {error}; put"
                f" VOCtrainval_11-May-2012.tar into {self.root} from elsewhere"
            ) from error

    def list_files(self) -> Files:
        """Return the training images and those of ``val``, with their labels."""
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
        """Return the classes as they are, and void for 255, the borders."""
        return {value: value for value in (*range(len(CLASS_NAMES)), VOID)}

    def _is_whole(self) -> bool:
        try:
            return not any(self._original(part)[1] for part in ("train", "val"))
        except FileNotFoundError:
            return False

    def _original(self, part: str) -> tuple[ImageFiles, list[str]]:
        """Return a part of the original data set as torchvision lists it."""
        listed = f"ImageSets/Segmentation/{part}.txt"
        for name in ("", listed, "JPEGImages", "SegmentationClass"):
            self._require(name, "download=True fetches the original data set")
        found = VOCSegmentation(self.root, year="2012", image_set=part)
        names = [Path(path).stem for path in found.images]
        return self._pairs(names, "SegmentationClass", str(self.base / listed))

    def _augmented(self) -> tuple[ImageFiles, list[str]]:
        """Return the images of ``train_aug``, all with the labels that go with it."""
        self._require(
            "SegmentationClassAug",
            "add these labels of train_aug, which no download here fetches, or give"
            " train='train'",
        )
        for name in ("train_aug.txt", "trainaug.txt"):
            path = self.base / "ImageSets/Segmentation" / name
            if path.is_file():
                lines = path.read_text(encoding="utf-8-sig").split("\n")
                # A line may tell image and label with their folders and suffixes.
                names = [Path(line.split()[0]).stem for line in lines if line.strip()]
                return self._pairs(names, "SegmentationClassAug", str(path))
        names = list_of("pascal_voc")
        return self._pairs(names, "SegmentationClassAug", "the list of train_aug")

    def _require(self, name: str, remedy: str) -> None:
        """Raise a FileNotFoundError if the data set lacks a file or folder."""
        if (self.base / name).exists():
            return
        if not self.base.is_dir():
            inside = {"VOC2012": "VOCdevkit", "JPEGImages": "VOC2012"}
            for sign, this in inside.items():
                if (self.root / sign).is_dir():
                    raise FileNotFoundError(
                        f"root must hold {BASE}, got {self.root}, which is {this}"
                        " itself; give the folder that VOCdevkit lies in"
                    )
        lacks = f"{BASE}/{name}".rstrip("/")
        raise FileNotFoundError(
            f"root must hold {lacks}, got none in {self.root}; {remedy}"
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
                    f"an image of {listed} must be there, got no {images / image}"
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
