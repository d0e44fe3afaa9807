"""Labeled and unlabeled loaders, side by side."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader, rank_zero_info, rank_zero_warn
from torch.utils.data import DataLoader, Dataset

from lightning_classmix.datamodules.loaders import evaluation_loader, training_loader
from lightning_classmix.datasets.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Pipeline,
    Transform,
    make_pipeline,
    read_pipeline,
    training_pipeline,
)
from lightning_classmix.datasets.views import (
    EvaluationView,
    PredictionView,
    Source,
    TrainingView,
)


class SemiSupervisedDataModule(LightningDataModule):
    """Pair a labeled with an unlabeled data set.

    An epoch is one pass over the unlabeled set: ``len(unlabeled) //
    unlabeled_batch_size`` steps (divided by the number of devices), at least one; what
    is left over opens the next pass. Without an unlabeled set it is one pass over the
    labeled set. The labeled images run beside it in passes of their own, shuffled
    anew at each. All training batches are full. Batch sizes are per device.

    Args:
        labeled: Data set of (image, label): tuples, or dicts with these keys. PIL
            images and uint8 arrays are augmented and normalized; float tensors
            ``(C, H, W)`` pass untouched. Labels hold the class per pixel, 255 for void.
        unlabeled: Data set of images; of an item with a label only the image is kept.
            None for `Supervised`.
        val: Data set of (image, label) to validate on.
        test: Data set of (image, label) to test on.
        predict: Data set of images, or of dicts with ``image`` and ``name``.
        transform: Albumentations pipeline for training images, labeled or not, or the
            file that ``albumentations.save`` wrote it to, or what its ``to_dict`` says,
            in place of the standard one
            (and of ``crop``, ``scale``, ``flip``, ``jitter``); normalization follows.
        size: Height and width that all images are resized to; None leaves them. Labels
            follow in training; those of validation and test keep their size, which
            scores refer to.
        resize_labels: Let those of validation and test follow ``size``, too, by their
            nearest pixels, as some papers score; float tensors still pass untouched.
        crop: Height and width of the training crops; None takes whole images, which
            must then be of one size.
        scale: Smallest and largest factor on a training image's size before the crop;
            unused without ``crop``.
        flip: Mirror every second training image.
        jitter: Strength of the color jitter of labeled images, in [0, 1]; unlabeled
            ones get none, so that the teacher sees them as they are, nor do images of
            other than 1 or 3 channels.
        mean: Mean of the image channels, in [0, 1], in ``channel_order``.
        std: Spread of the image channels, in (0, 1].
        channel_order: Order that the channels of PIL images and uint8 arrays, which
            are ``rgb``, come in: ``bgr`` for weights from Caffe.
        mark_padding: Whether pixels that the crop padded are not ``valid`` in
            unlabeled images, and so neither drawn nor learned; in labels they are void
            in any case.
        batch_size: Labeled images a step.
        unlabeled_batch_size: Unlabeled images a step, at least 2; ``batch_size`` if
            None.
        val_batch_size: Images a step of validation and test; 1 fits images of any size.
        steps_per_epoch: Steps of an epoch, in place of the rule above.
        num_workers: Worker processes of each loader; 0 loads in the main process.
        seed: Of what a data module itself draws: scenes and splits. The order of images
            and their augmentation follow ``seed_everything`` instead.
        num_classes: Number of classes, C.
        class_names: Their names.
        palette: Their colors, RGB in [0, 255].

    Raises:
        ValueError: If there is no labeled image, fewer than two unlabeled ones, a
            batch is too small, or ``resize_labels`` lacks a ``size``.

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
        unlabeled: Source | None = None,
        val: Source | None = None,
        *,
        test: Source | None = None,
        predict: Source | None = None,
        transform: Pipeline | dict[str, Any] | str | None = None,
        size: tuple[int, int] | None = None,
        resize_labels: bool = False,
        crop: tuple[int, int] | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        jitter: float = 0.25,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channel_order: Literal["rgb", "bgr"] = "rgb",
        mark_padding: bool = True,
        batch_size: int = 4,
        unlabeled_batch_size: int | None = None,
        val_batch_size: int = 1,
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.labeled, self.unlabeled, self.val = labeled, unlabeled, val
        self.test, self.predict = test, predict
        if isinstance(transform, str):
            transform = read_pipeline(transform)
        elif isinstance(transform, dict):
            transform = make_pipeline(transform)
        self.transform: Pipeline | None = transform
        self.size, self.resize_labels = size, resize_labels
        self.crop, self.scale, self.flip, self.jitter = crop, scale, flip, jitter
        self.mean, self.std = mean, std
        self.channel_order, self.mark_padding = channel_order, mark_padding
        self.batch_size = batch_size
        self._unlabeled_batch_size = unlabeled_batch_size
        self.val_batch_size = val_batch_size
        self.steps_per_epoch = steps_per_epoch
        self.num_workers, self.seed = num_workers, seed
        self._num_classes = num_classes
        self._class_names, self._palette = class_names, palette
        self._base_seed: int | None = None

        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("val_batch_size", val_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("crop", min(crop or (1,)), 1),
            ("size", min(size or (1,)), 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if resize_labels and size is None:
            raise ValueError(
                "resize_labels must be False without a size, got True; give size"
            )
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(
                f"channel_order must be 'rgb' or 'bgr', got {channel_order!r}"
            )
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be 0 < smallest <= largest, got {scale}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter must be in [0, 1], got {jitter}")
        if self.unlabeled_batch_size < 2 and unlabeled is not None:
            raise ValueError(
                "unlabeled_batch_size must be at least 2, got"
                f" {self.unlabeled_batch_size}; ClassMix pastes each image into another"
            )
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ValueError(
                f"steps_per_epoch must be at least 1, got {steps_per_epoch}"
            )

    @property
    def unlabeled_batch_size(self) -> int:
        """Unlabeled images a step; follows ``batch_size`` unless it was given."""
        given = self._unlabeled_batch_size
        return self.batch_size if given is None else given

    @property
    def num_classes(self) -> int | None:
        """Number of classes, C."""
        return self._num_classes

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes."""
        return self._class_names

    @property
    def palette(self) -> Sequence[tuple[int, int, int]] | None:
        """Colors of the classes, RGB in [0, 255]."""
        return self._palette

    def setup(self, stage: str) -> None:
        """Check the training sets, and agree on the base seed with the other ranks."""
        kind = str(getattr(stage, "value", stage))
        asked = getattr(self, {"fit": "val", "validate": "val"}.get(kind, kind))
        if self.resize_labels and self.size and kind != "predict" and asked is not None:
            height, width = self.size
            rank_zero_info(
                f"labels of validation and test are resized to {height} x {width}:"
                " scores are not those at the size of the files"
            )
        if kind != "fit":
            if asked is None:
                raise ValueError(f"there must be images to {kind}, got none")
            return
        if not len(self.labeled):
            raise ValueError("labeled must hold at least 1 image, got 0")
        if self.unlabeled is not None and len(self.unlabeled) < 2:
            raise ValueError(
                f"unlabeled must hold at least 2 images, got {len(self.unlabeled)};"
                " use Supervised for no unlabeled images"
            )
        self._warn_of_repeats("labeled", self.labeled, self.batch_size)
        if self.unlabeled is not None:
            self._warn_of_repeats(
                "unlabeled", self.unlabeled, self.unlabeled_batch_size
            )
        # A run that is resumed brings its own seed, which is read after this.
        seed = torch.initial_seed()
        self._base_seed = (
            self.trainer.strategy.broadcast(seed) if self.trainer else seed
        )

    def _warn_of_repeats(self, name: str, source: Source, batch_size: int) -> None:
        if len(source) < batch_size:
            rank_zero_warn(
                f"{name} holds {len(source)} images for batches of {batch_size}:"
                " images repeat within a batch, augmented anew"
            )

    def train_dataloader(self) -> CombinedLoader:
        """Return the loader of batches by the batch contract."""
        devices = self._place()["devices"]
        if self.unlabeled is None:
            passed = len(self.labeled) // (self.batch_size * devices)
        else:
            passed = len(self.unlabeled) // (self.unlabeled_batch_size * devices)
        steps = self.steps_per_epoch or max(1, passed)

        loaders = {"labeled": self._training_loader(self.labeled, True, steps)}
        if self.unlabeled is not None:
            loaders["unlabeled"] = self._training_loader(self.unlabeled, False, steps)
        return CombinedLoader(loaders, "min_size")

    def _training_loader(
        self, source: Source, labeled: bool, steps: int
    ) -> DataLoader[Any]:
        if self._base_seed is None:
            raise RuntimeError("setup('fit') must come before train_dataloader()")
        pipeline = self.transform or training_pipeline(
            crop=self.crop,
            scale=self.scale,
            flip=self.flip,
            jitter=self.jitter if labeled and len(self.mean) in (1, 3) else 0.0,
            mean=self.mean[::-1] if self.channel_order == "bgr" else self.mean,
        )
        view = TrainingView(
            source,
            self._transform(pipeline),
            labeled=labeled,
            seed=self._base_seed,
        )
        return training_loader(
            view,
            steps=steps,
            batch_size=self.batch_size if labeled else self.unlabeled_batch_size,
            seed=self._base_seed + int(labeled),
            num_workers=self.num_workers,
            **self._place(),
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the loader of ``val``; none if there is no such set."""
        view = partial(EvaluationView, resize_labels=self.resize_labels)
        return self._evaluation_loader(view, self.val, self.val_batch_size)

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the loader of ``test``; none if there is no such set."""
        view = partial(EvaluationView, resize_labels=self.resize_labels)
        return self._evaluation_loader(view, self.test, self.val_batch_size)

    def predict_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the loader of ``predict``; none if there is no such set."""
        return self._evaluation_loader(PredictionView, self.predict, 1)

    def _evaluation_loader(
        self,
        view: Callable[[Source, Transform], Dataset[Any]],
        source: Source | None,
        batch_size: int,
    ) -> DataLoader[Any] | list[Any]:
        if source is None:
            # To train without validation is no mistake, which Lightning takes it for.
            warnings.filterwarnings("ignore", "Total length of `list` across ranks")
            return []
        return evaluation_loader(
            view(source, self._transform()),
            batch_size=batch_size,
            num_workers=self.num_workers,
            **self._place(),
        )

    def _transform(self, pipeline: Pipeline | None = None) -> Transform:
        return Transform(
            pipeline,
            size=self.size,
            mean=self.mean,
            std=self.std,
            reverse=self.channel_order == "bgr",
            mark_padding=self.mark_padding,
        )

    def _place(self) -> dict[str, Any]:
        """Return the number of devices, the one this is, and whether it is a GPU."""
        if self.trainer is None:
            return {"devices": 1, "rank": 0, "pin_memory": False}
        return {
            "devices": self.trainer.world_size,
            "rank": self.trainer.global_rank,
            "pin_memory": self.trainer.strategy.root_device.type == "cuda",
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must share with this one."""
        return {"base_seed": self._base_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the base seed of the run that is resumed."""
        self._base_seed = state["base_seed"]
