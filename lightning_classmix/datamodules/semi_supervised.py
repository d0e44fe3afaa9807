"""LightningDataModule that pairs a labeled with an unlabeled dataset."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from lightning_classmix.datamodules.evaluation import EvaluationDataModule
from lightning_classmix.datamodules.input_ranges import check_input_ranges
from lightning_classmix.datamodules.loaders import training_loader
from lightning_classmix.datamodules.reproduction import DataReproduction
from lightning_classmix.datamodules.stream_loader import is_stream, stream_loader
from lightning_classmix.datamodules.training_checks import check_training_sets
from lightning_classmix.datasets.preprocessing import Preprocessing
from lightning_classmix.datasets.samples import Source
from lightning_classmix.datasets.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Pipeline,
    Transform,
    load_pipeline,
    training_pipeline,
)
from lightning_classmix.datasets.views import TrainingView
from lightning_classmix.ops.ranges import check_ranges


class SemiSupervisedDataModule(EvaluationDataModule):
    """Pair a labeled with an unlabeled dataset.

    An epoch is one pass over the unlabeled dataset: ``len(unlabeled) //
    unlabeled_batch_size`` steps (divided by the number of devices), at least one; the
    remaining images start the next pass. Without an unlabeled dataset it is one pass
    over the labeled dataset. Labeled images are drawn in passes of their own, shuffled
    at each pass. All training batches are full. Batch sizes are per device.

    Args:
        labeled: Dataset of (image, label) as tuples, or as dicts with these keys. PIL
            images and uint8 arrays are augmented and normalized; float tensors
            ``(C, H, W)`` are used unchanged. Labels hold the class per pixel, 255 for
            void.
        unlabeled: Dataset of images, or with ``steps_per_epoch`` a stream of images
            (IterableDataset); labels in its items are ignored. None for `Supervised`.
        val: Validation dataset of (image, label); None skips validation.
        test: Test dataset of (image, label).
        predict: Dataset of images, or of dicts with ``image`` and ``name``.
        transform: Albumentations pipeline for labeled and unlabeled training images, or
            the path of a file written by ``albumentations.save``. It replaces ``crop``,
            ``scale``, ``flip`` and ``jitter``; normalization follows it.
        size: Height and width in pixels to which all images are resized; None keeps
            their size. Training labels are resized too; labels of validation and test
            keep their size, at which scores are computed.
        crop: Height and width in pixels of random training crops; None uses whole
            images, which must then have one size.
        scale: Smallest and largest factor by which a training image is resized before
            the crop; unused without ``crop``.
        flip: Mirror training images horizontally with probability 0.5.
        jitter: Strength of the color jitter of labeled images, in [0, 1]. Unlabeled
            images get none, so that the teacher sees them unchanged; images of other
            than 1 or 3 channels get none either.
        mean: Channel means for normalization, each in [0, 1].
        std: Channel standard deviations for normalization, each in (0, 1].
        value_range: Pixel values that become 0 and 1 before the normalization, for
            images of more than 8 bits; ``auto`` for percentiles of a sample of the
            images; None for the range of the pixel type, [0, 65535] for 16 bits.
        batch_size: Number of labeled images in a batch.
        unlabeled_batch_size: Number of unlabeled images in a batch, at least 2; None
            uses ``batch_size``.
        val_batch_size: Number of images in a batch of validation and test; 1 allows
            images of different sizes.
        steps_per_epoch: Number of steps in an epoch; None is one pass over the
            unlabeled images, or over the labeled images if there are no others.
        num_workers: Number of worker processes of each loader; 0 loads in the main
            process.
        seed: Seed for generated scenes and labeled subsets. Order and augmentation of
            images follow ``seed_everything`` instead.
        num_classes: Number of classes, C.
        class_names: Names of the classes.
        palette: Colors of the classes, RGB in [0, 255].
        reproduction: Settings that only serve to reproduce published results.

    Raises:
        ValueError: If a dataset is too small, an argument is out of its range, or
            labels are to be resized without ``size``.

    Example:
        >>> images = [(torch.zeros(3, 8, 8), torch.zeros(8, 8).long())] * 4
        >>> data = SemiSupervisedDataModule(images, images, batch_size=2)
        >>> data.setup("fit")
        >>> batch, _, _ = next(iter(data.train_dataloader()))
        >>> {part: sorted(batch[part]) for part in batch}
        {'labeled': ['image', 'label'], 'unlabeled': ['image', 'valid']}
    """

    def __init__(
        self,
        labeled: Source,
        unlabeled: Source | IterableDataset[Any] | None = None,
        val: Source | None = None,
        *,
        test: Source | None = None,
        predict: Source | None = None,
        transform: Pipeline | dict[str, Any] | str | None = None,
        size: tuple[int, int] | None = None,
        crop: tuple[int, int] | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        jitter: float = 0.25,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        value_range: tuple[float, float] | Literal["auto"] | None = None,
        batch_size: int = 4,
        unlabeled_batch_size: int | None = None,
        val_batch_size: int = 1,
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        reproduction: DataReproduction | None = None,
    ) -> None:
        super().__init__(
            val=val,
            test=test,
            predict=predict,
            preprocessing=Preprocessing(size, tuple(mean), tuple(std)),
            value_range=value_range,
            reproduction=reproduction,
            val_batch_size=val_batch_size,
            num_workers=num_workers,
            num_classes=num_classes,
            class_names=class_names,
            palette=palette,
        )
        check_ranges(
            crop=crop,
            scale=scale,
            jitter=jitter,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
        )
        if scale[0] > scale[1]:
            raise ValueError(f"scale must be 0 < smallest <= largest, got {scale}")
        self.labeled = labeled
        self.unlabeled: Any = unlabeled
        self.transform = load_pipeline(transform)
        self.crop = crop
        self.scale = scale
        self.flip = flip
        self.jitter = jitter
        self.batch_size = batch_size
        self._unlabeled_batch_size = unlabeled_batch_size
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self._base_seed: int | None = None
        if unlabeled is not None:
            check_ranges(unlabeled_batch_size=self.unlabeled_batch_size)

    @property
    def unlabeled_batch_size(self) -> int:
        """Number of unlabeled images in a batch; ``batch_size`` unless given."""
        given = self._unlabeled_batch_size
        return self.batch_size if given is None else given

    def setup(self, stage: str) -> None:
        """Check the datasets of a stage, and share the base seed between ranks."""
        super().setup(stage)
        self.resolve_value_range(self.labeled)
        if str(getattr(stage, "value", stage)) != "fit":
            return
        sizes = self.batch_size, self.unlabeled_batch_size
        check_training_sets(self.labeled, self.unlabeled, sizes, self.steps_per_epoch)
        check_input_ranges((self.labeled, self.unlabeled, self.val), self.preprocessing)
        # A checkpoint that is resumed has its own seed, which is read after this.
        self._base_seed = torch.initial_seed()
        if self.trainer:
            self._base_seed = self.trainer.strategy.broadcast(self._base_seed)

    def train_dataloader(self) -> CombinedLoader:
        """Return the loader of training batches."""
        devices = self._rank_options()["devices"]
        if self.unlabeled is None or is_stream(self.unlabeled):
            passed = len(self.labeled) // (self.batch_size * devices)
        else:
            passed = len(self.unlabeled) // (self.unlabeled_batch_size * devices)
        steps = self.steps_per_epoch or max(1, passed)
        labeled = self._training_loader(self.labeled, True, steps)
        loaders: dict[str, Any] = {"labeled": labeled}
        if is_stream(self.unlabeled):
            loaders["unlabeled"] = stream_loader(
                self.unlabeled,
                self._training_transform(labeled=False),
                steps=steps,
                seed=self._run_seed(),
                batch_size=self.unlabeled_batch_size,
                num_workers=self.num_workers,
                nodes=self.trainer.num_nodes if self.trainer else 1,
                **self._rank_options(),
            )
        elif self.unlabeled is not None:
            loaders["unlabeled"] = self._training_loader(self.unlabeled, False, steps)
        return CombinedLoader(loaders, "min_size")

    def _training_loader(
        self, source: Source, labeled: bool, steps: int
    ) -> DataLoader[Any]:
        view = TrainingView(
            source,
            self._training_transform(labeled),
            labeled=labeled,
            seed=self._run_seed(),
        )
        return training_loader(
            view,
            steps=steps,
            batch_size=self.batch_size if labeled else self.unlabeled_batch_size,
            seed=self._run_seed() + int(labeled),
            num_workers=self.num_workers,
            **self._rank_options(),
        )

    def _training_transform(self, labeled: bool) -> Transform:
        pipeline = self.transform or training_pipeline(
            crop=self.crop,
            scale=self.scale,
            flip=self.flip,
            jitter=self.jitter if labeled and len(self.mean) in (1, 3) else 0.0,
            mean=self.mean,
        )
        mark_padding = self.reproduction.mark_padding
        return self.preprocessing.transform(pipeline, mark_padding=mark_padding)

    def _run_seed(self) -> int:
        if self._base_seed is None:
            raise RuntimeError("setup('fit') must come before train_dataloader()")
        return self._base_seed

    def state_dict(self) -> dict[str, Any]:
        """Return the base seed and the range of the pixels."""
        return super().state_dict() | {"base_seed": self._base_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the base seed, and an estimated range of the pixels."""
        super().load_state_dict(state)
        self._base_seed = state["base_seed"]
