"""Record the last validation of a run for its report: scores, worst and best images."""

import json
import math
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics.functional.classification import multiclass_jaccard_index

from lightning_classmix import batches, ops
from lightning_classmix.atomic import atomic_file
from lightning_classmix.callbacks.montage import (
    Picture,
    gray_tile,
    image_tile,
    label_tile,
    montage,
)
from lightning_classmix.callbacks.pictures import (
    is_trial,
    picture_folder,
    save_picture,
)
from lightning_classmix.colors import default_palette

FILE = "validation.json"
"""Name of the record, in the Trainer's log folder."""


class ScoredImage(NamedTuple):
    """A validation image with its score."""

    miou: float
    """Mean IoU over the classes of its label, in [0, 1]."""
    name: str
    """Name of the image, or its position in the set."""
    row: dict[str, Picture]
    """Image, truth, prediction and wrong pixels."""


class ValidationRecord(Callback):
    """Write the scores of the last validation and its worst and best images.

    ``validation.json`` in the Trainer's log folder holds the metrics of every network,
    the confusion matrices, and the names of the images with the lowest and the highest
    mean IoU of the network that predicts; ``pictures/worst-<n>.png`` and
    ``pictures/best-<n>.png`` show them. Every validation replaces these files, which
    the report of the run shows. Nothing is written under ``fast_dev_run``.

    Args:
        images: Number of worst and of best images.
    """

    def __init__(self, images: int = 3) -> None:
        self.images = images
        self._worst: list[ScoredImage] = []
        self._best: list[ScoredImage] = []
        self._seen = 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the images of the last validation."""
        self._worst = []
        self._best = []
        self._seen = 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score each image, and keep it if it is among the worst or the best."""
        module: Any = pl_module
        evaluate = getattr(module, "evaluate", None)
        if is_trial(trainer) or not isinstance(outputs, dict):
            return
        if evaluate not in outputs:
            return
        batch = batches.standard_batch(batch)
        for index, predicted in enumerate(outputs[evaluate]):
            position = self._seen * trainer.world_size + trainer.global_rank
            self._seen += 1
            label = batch["label"][index]
            miou = image_miou(predicted, label, module.num_classes)
            if math.isnan(miou):
                continue
            names = batch.get("name")
            name = f"image {position}" if names is None else str(names[index])
            keeps_worst = _enters(self._worst, miou, self.images, low=True)
            keeps_best = _enters(self._best, miou, self.images, low=False)
            if keeps_worst or keeps_best:
                row = _row(module, batch["image"][index], label, predicted)
                scored = ScoredImage(miou, name, row)
                if keeps_worst:
                    self._worst = self._select([*self._worst, scored], low=True)
                if keeps_best:
                    self._best = self._select([*self._best, scored], low=False)

    def _select(self, images: list[ScoredImage], *, low: bool) -> list[ScoredImage]:
        ordered = sorted(images, key=lambda image: image.miou, reverse=not low)
        return ordered[: self.images]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record, of the images of all devices."""
        module: Any = pl_module
        scores = getattr(module, "scores", None)
        if is_trial(trainer) or not scores:
            return
        folder = picture_folder(trainer)
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, (self._worst, self._best))
            self._worst = self._select([i for w, _ in gathered for i in w], low=True)
            self._best = self._select([i for _, b in gathered for i in b], low=False)
        if folder is None or not trainer.is_global_zero:
            return
        record = score_record(module)
        for kind, images in (("worst", self._worst), ("best", self._best)):
            record[kind] = []
            for number, image in enumerate(images, start=1):
                path = folder / f"{kind}-{number}.png"
                save_picture(path, montage([image.row]))
                entry = {"name": image.name, "miou": image.miou}
                record[kind].append(entry | {"file": f"{folder.name}/{path.name}"})
        with atomic_file(folder.parent / FILE, "w", encoding="utf-8") as file:
            json.dump(record, file)


def score_record(module: Any) -> dict[str, Any]:
    """Return the last scores of a module as plain values, NaN as None."""
    palette = module.palette or default_palette(module.num_classes)
    return {
        "step": module.scored_step,
        "evaluate": module.evaluate,
        "class_names": list(module.class_names),
        "palette": [list(color) for color in palette],
        "scores": {
            network: {name: _plain(value) for name, value in metrics.items()}
            for network, metrics in module.scores.items()
        },
    }


def image_miou(predicted: Tensor, label: Tensor, num_classes: int) -> float:
    """Return the mean IoU of one image over the classes of its label.

    Args:
        predicted: Predicted class per pixel, int64 ``(H, W)``.
        label: Class per pixel or 255, int64 ``(H, W)``.
        num_classes: Number of classes, C.

    Returns:
        Mean IoU in [0, 1]; NaN if all pixels are void.
    """
    iou = multiclass_jaccard_index(
        predicted,
        label,
        num_classes,
        average="none",
        ignore_index=ops.VOID,
        validate_args=False,
    )
    present = torch.zeros(ops.VOID + 1, dtype=torch.bool, device=label.device)
    present[label.flatten()] = True
    return float(iou[present[:num_classes]].mean())


def _enters(images: list[ScoredImage], miou: float, count: int, *, low: bool) -> bool:
    if len(images) < count:
        return count > 0
    last = images[-1].miou
    return miou < last if low else miou > last


def _row(
    module: Any, image: Tensor, label: Tensor, predicted: Tensor
) -> dict[str, Picture]:
    palette = module.palette or default_palette(module.num_classes)
    wrong = (predicted != label) & (label != ops.VOID)
    return {
        "image": image_tile(image, mean=module.mean, std=module.std),
        "truth": label_tile(label, palette),
        f"prediction of the {module.evaluate}": label_tile(predicted, palette),
        "wrong pixels": gray_tile(wrong),
    }


def _plain(value: Any) -> Any:
    """Return a tensor as nested lists of numbers, NaN as None."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
