"""A folder of one's own as a data module."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_classmix.data.file_datamodule import FileDataModule, Files
from lightning_classmix.data.files import (
    ImageFiles,
    list_images,
    pair_up,
    stem,
)
from lightning_classmix.ops import VOID

_FIFTH = 5


class FolderDataModule(FileDataModule):
    """Images in a folder, some of them with labels.

    ``images`` and ``labels`` hold labelled images and their labels under the same
    names, ``unlabeled`` the other images. Without ``unlabeled``, an image that has no
    label is an unlabelled one; with it, that is a fault. ``val/images`` and
    ``val/labels`` are there to validate on; without them every fifth labelled image
    is held out. ``test`` is like ``val``, and may be missing.

    Labels are index or palette PNG files of one channel: the class of each pixel from
    0 on, and 255 for void.

    Args:
        root: Folder that holds these folders.
        num_classes: Number of classes; None for the largest class in the labels, those
            of ``val`` too, plus one.
        labeled: How many labelled images keep their labels: a count, a share in (0, 1],
            or None for all. The rest are used as unlabelled images. A smaller subset
            is part of a larger one, and every class is in it as soon as the count
            allows.
        crop: Height and width of the training crops; None takes whole images, which
            must then be of one size.
        predict: Folder of the images to predict; None for the unlabelled ones.
        seed: Decides which images keep their labels.
        kwargs: Further arguments of `SemiSupervisedDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        num_classes: int | None = None,
        *,
        labeled: int | float | None = None,
        crop: tuple[int, int] | None = (320, 320),
        predict: str | Path | None = None,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> None:
        super().__init__(
            root,
            labeled=labeled,
            crop=crop,
            predict=predict,
            seed=seed,
            num_classes=num_classes,
            **kwargs,
        )
        self.keep_arguments()

    @property
    def num_classes(self) -> int:
        """Number of classes, C; counted in the labels if it was not given."""
        return self._num_classes or self._counted_classes

    @cached_property
    def _counted_classes(self) -> int:
        parts: tuple[Literal["labeled", "val"], ...] = ("labeled", "val")
        known = [part for part in parts if getattr(self.files, part) is not None]
        counts = np.concatenate([self.facts(part).counts for part in known])
        values = np.flatnonzero(counts[:, :VOID].any(axis=0))
        count = int(values.max(initial=0)) + 1
        where = self.root / "labels"
        if count < 2:
            raise ValueError(
                f"labels must hold at least 2 classes, got the values"
                f" {[*values.tolist(), VOID]} in {where}; 255 is void"
            )
        rank_zero_info(f"num_classes is {count}, by the labels in {where}")
        return count

    def label_map(self) -> Mapping[int, int]:
        """Return the classes as they are, and void."""
        return {value: value for value in (*range(self.num_classes), VOID)}

    def list_files(self) -> Files:
        """Return the files; without ``val``, every fifth labelled image is held out."""
        folder, labels = self.root / "images", self.root / "labels"
        others = self.root / "unlabeled"
        images = list_images(folder)
        if others.is_dir():
            unlabeled = list_images(others)
        else:
            others = folder
            named = {stem(path, labels) for path in list_images(labels)}
            unlabeled = [path for path in images if stem(path, folder) not in named]
            images = [path for path in images if stem(path, folder) in named]
        labeled = pair_up(images, folder, labels)
        val = self._optional("val")
        if val is None:
            labeled, val = self._hold_out(labeled)
        return Files(
            labeled=labeled,
            unlabeled=ImageFiles(unlabeled, root=others) if unlabeled else None,
            val=val,
            test=self._optional("test"),
        )

    def _hold_out(self, pairs: ImageFiles) -> tuple[ImageFiles, ImageFiles | None]:
        held = range(_FIFTH - 1, len(pairs), _FIFTH)
        if held:
            rank_zero_info(
                f"{len(held)} of {len(pairs)} labelled images are held out for"
                f" validation, every fifth: there is no {self.root / 'val'}"
            )
        else:
            rank_zero_warn(
                f"nothing is validated: {len(pairs)} labelled images are too few to"
                f" hold every fifth out, and there is no {self.root / 'val'}"
            )
        rest = [index for index in range(len(pairs)) if index not in held]
        return pairs.take(rest), pairs.take(held) if held else None

    def _optional(self, name: str) -> ImageFiles | None:
        folder: Path = self.root / name
        if not folder.is_dir():
            return None
        images = folder / "images"
        return pair_up(list_images(images), images, folder / "labels")
