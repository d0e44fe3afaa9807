"""Base class with the evaluation sets and class information of a data module."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, Dataset

from lightning_classmix.datamodules.loaders import evaluation_loader
from lightning_classmix.datamodules.reproduction import DataReproduction
from lightning_classmix.datasets.pixel_range import SAMPLE, estimate_range
from lightning_classmix.datasets.preprocessing import Preprocessing
from lightning_classmix.datasets.samples import Source, sample_images
from lightning_classmix.datasets.transforms import Transform
from lightning_classmix.datasets.views import EvaluationView, PredictionView
from lightning_classmix.ops.ranges import check_ranges


class EvaluationDataModule(LightningDataModule):
    """Load validation, test and prediction images; hold preprocessing and classes.

    Args:
        val: Validation dataset of (image, label); None skips validation.
        test: Test dataset of (image, label).
        predict: Dataset of images, or of dicts with ``image`` and ``name``.
        preprocessing: Resizing and normalization of the images.
        value_range: Pixel values that become 0 and 1; ``auto`` estimates them; None
            uses the range of the pixel type.
        reproduction: Settings that only serve to reproduce published results.
        val_batch_size: Number of images in a batch of validation and test.
        num_workers: Number of worker processes of each loader.
        num_classes: Number of classes, C.
        class_names: Names of the classes.
        palette: Colors of the classes, RGB in [0, 255].

    Raises:
        ValueError: If an argument is out of its range, or labels are to be resized
            without a size.
    """

    def __init__(
        self,
        *,
        val: Source | None,
        test: Source | None,
        predict: Source | None,
        preprocessing: Preprocessing,
        value_range: tuple[float, float] | Literal["auto"] | None,
        reproduction: DataReproduction | None,
        val_batch_size: int,
        num_workers: int,
        num_classes: int | None,
        class_names: Sequence[str] | None,
        palette: Sequence[tuple[int, int, int]] | None,
    ) -> None:
        super().__init__()
        check_ranges(val_batch_size=val_batch_size, num_workers=num_workers)
        self.val = val
        self.test = test
        self.predict = predict
        given = None if value_range == "auto" else value_range
        self.preprocessing = replace(preprocessing, value_range=given)
        self._estimated_range = value_range == "auto"
        if isinstance(reproduction, dict):  # as a checkpoint holds it
            reproduction = DataReproduction(**reproduction)
        self.reproduction = reproduction or DataReproduction()
        if self.reproduction.resize_labels and self.size is None:
            raise ValueError(
                "resize_labels must be False without a size, got True; give size"
            )
        self.val_batch_size = val_batch_size
        self.num_workers = num_workers
        self._num_classes = num_classes
        self._class_names = class_names
        self._palette = palette

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels to which images are resized, or None."""
        return self.preprocessing.size

    @property
    def mean(self) -> tuple[float, ...]:
        """Channel means for normalization, each in [0, 1]."""
        return self.preprocessing.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Channel standard deviations for normalization, each in (0, 1]."""
        return self.preprocessing.std

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Pixel values that become 0 and 1; None for the range of the pixel type."""
        return self.preprocessing.value_range

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

    def resolve_value_range(self, images: Source) -> None:
        """Replace ``value_range="auto"`` by percentiles of the images; report them."""
        if not self._estimated_range or self.value_range is not None:
            return
        limits = estimate_range(list(sample_images(images, SAMPLE)))
        self._set_value_range(limits)
        rank_zero_info(f"value_range is [{limits[0]:g}, {limits[1]:g}]")

    def _set_value_range(self, limits: Sequence[float]) -> None:
        low, high = limits
        self.preprocessing = replace(self.preprocessing, value_range=(low, high))
        if "value_range" in self.hparams:  # so that a checkpoint holds the numbers
            self.hparams["value_range"] = [low, high]

    def setup(self, stage: str) -> None:
        """Check that the dataset of an evaluation stage exists.

        Raises:
            ValueError: If there are no images for the stage.
        """
        kind = str(getattr(stage, "value", stage))
        dataset = getattr(self, {"fit": "val", "validate": "val"}.get(kind, kind))
        if dataset is None and kind != "fit":
            raise ValueError(f"there must be images to {kind}, got none")
        resized = self.reproduction.resize_labels and kind != "predict"
        if resized and self.size and dataset is not None:
            height, width = self.size
            rank_zero_info(
                f"labels of validation and test are resized to {height} x {width}:"
                " scores are not those at the size of the files"
            )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the validation loader; an empty list without such a dataset."""
        return self._evaluation_loader(self._labeled_view, self.val)

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the test loader; an empty list without such a dataset."""
        return self._evaluation_loader(self._labeled_view, self.test)

    def predict_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the prediction loader; an empty list without such a dataset."""
        return self._evaluation_loader(PredictionView, self.predict, 1)

    def _labeled_view(self, source: Source, transform: Transform) -> EvaluationView:
        resize_labels = self.reproduction.resize_labels
        return EvaluationView(source, transform, resize_labels=resize_labels)

    def _evaluation_loader(
        self,
        view: Callable[[Source, Transform], Dataset[Any]],
        source: Source | None,
        batch_size: int | None = None,
    ) -> DataLoader[Any] | list[Any]:
        if source is None:
            return []
        return evaluation_loader(
            view(source, self.preprocessing.transform()),
            batch_size=batch_size or self.val_batch_size,
            num_workers=self.num_workers,
            **self._rank_options(),
        )

    def _rank_options(self) -> dict[str, Any]:
        """Return number of devices, rank and ``pin_memory`` for a loader."""
        if self.trainer is None:
            return {"devices": 1, "rank": 0, "pin_memory": False}
        return {
            "devices": self.trainer.world_size,
            "rank": self.trainer.global_rank,
            "pin_memory": self.trainer.strategy.root_device.type == "cuda",
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the range of the pixels, if it was estimated."""
        return {"value_range": self.value_range} if self._estimated_range else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore an estimated range of the pixels."""
        if self._estimated_range and state.get("value_range") is not None:
            self._set_value_range(state["value_range"])
