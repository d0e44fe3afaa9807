"""LightningDataModule for generated street scenes."""

from typing import Any

import numpy as np
from torch.utils.data import Subset

from lightning_classmix.datamodules.hyperparameters import save_arguments
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.datasets.street_scenes import CLASS_NAMES, PALETTE, StreetScenes
from lightning_classmix.datasets.subsets import covering_order

_VAL, _TEST = 1_000_000, 2_000_000  # first scene numbers, so that sets are disjoint


class StreetScenesDataModule(SemiSupervisedDataModule):
    """Generated street scenes, a few of them labeled.

    Seven classes: sky, building, road, sidewalk, tree, car, person. The labeled scenes
    are chosen to contain every class. No file is read or downloaded: for first steps,
    demos and tests.

    Args:
        labeled: Number of labeled scenes.
        unlabeled: Number of unlabeled scenes; 0 for `Supervised`.
        val: Number of validation scenes; 0 for none.
        test: Number of test scenes; 0 for none.
        size: Height and width of the scenes in pixels.
        seed: Seed of the scenes and of the choice of labeled scenes.
        val_batch_size: Number of scenes in a batch of validation and test.
        kwargs: Further arguments of `SemiSupervisedDataModule`.

    Example:
        >>> data = StreetScenesDataModule(labeled=4, unlabeled=6, size=(32, 48))
        >>> data.setup("fit")
        >>> len(data.labeled), len(data.unlabeled), data.num_classes
        (4, 6, 7)
    """

    def __init__(
        self,
        labeled: int = 6,
        unlabeled: int = 300,
        val: int = 100,
        test: int = 500,
        size: tuple[int, int] = (96, 128),
        seed: int = 0,
        *,
        val_batch_size: int = 10,
        **kwargs: Any,
    ) -> None:
        pool = StreetScenes(labeled + unlabeled, size=size, seed=seed)
        rest = range(labeled, labeled + unlabeled)
        val_scenes = (
            StreetScenes(val, size=size, seed=seed, first=_VAL) if val else None
        )
        test_scenes = (
            StreetScenes(test, size=size, seed=seed, first=_TEST) if test else None
        )
        super().__init__(
            labeled=Subset(pool, range(labeled)),
            unlabeled=Subset(pool, rest) if unlabeled else None,
            val=val_scenes,
            test=test_scenes,
            predict=test_scenes,
            size=None,
            num_classes=len(CLASS_NAMES),
            class_names=CLASS_NAMES,
            palette=PALETTE,
            val_batch_size=val_batch_size,
            seed=seed,
            **kwargs,
        )
        save_arguments(self, self.transform)
        self.counts, self.pool = (labeled, unlabeled), pool
        self._drawn = False

    def setup(self, stage: str) -> None:
        """Choose the labeled scenes at the first ``setup('fit')``."""
        if stage == "fit" and not self._drawn:
            classes = np.arange(len(CLASS_NAMES))
            present = np.array(
                [np.isin(classes, self.pool[i][1]) for i in range(len(self.pool))]
            )
            order = covering_order(present, seed=self.seed)
            labeled, unlabeled = self.counts
            self.labeled = Subset(self.pool, order[:labeled])
            self.unlabeled = Subset(self.pool, order[labeled:]) if unlabeled else None
            self._drawn = True
        super().setup(stage)
