"""Show predictions and mixed images while a network is trained."""

from collections import Counter
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import (
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from PIL import Image
from torch import Tensor

from lightning_classmix import batches, ops
from lightning_classmix.atomic import atomic_file
from lightning_classmix.callbacks.montage import (
    Picture,
    gray_tile,
    image_tile,
    label_tile,
    montage,
)
from lightning_classmix.colors import default_palette

FOLDER = "pictures"
"""Name of the folder of the PNG files, in the Trainer's log folder."""


class Pictures(Callback):
    """Show predictions for the same validation images, and a mix, at every validation.

    One picture shows truth, prediction of each network, and confidence of the last of
    them for ``images`` validation images, at equal intervals in the set. The other
    shows how two unlabeled images were mixed at the last logging interval. Both go to
    the loggers of TensorBoard, Weights & Biases and MLflow, and to PNG files
    ``validation-<step>.png`` and ``mix-<step>.png`` in ``pictures`` in the Trainer's
    log folder. On several devices the images are those of the first device. Nothing is
    written under ``fast_dev_run``.

    Args:
        images: Number of validation images, at least 1.

    Raises:
        ValueError: If ``images`` is less than 1.
    """

    def __init__(self, images: int = 4) -> None:
        if images < 1:
            raise ValueError(f"images must be at least 1, got {images}")
        self.images = images
        self._folder: Path | None = None
        self._rows: list[dict[str, Picture]] = []
        self._mix: dict[str, Picture] = {}
        self._mix_step = 0
        self._chosen: Counter[int] = Counter()  # images of each batch

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the folder, the same on all devices."""
        self._folder = picture_folder(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the validation images."""
        self._rows = []
        self._chosen = Counter()
        if self._is_writing(trainer) and hasattr(pl_module, "predict_logits"):
            counts: Any = trainer.num_val_batches[:1] or [0]
            last = counts[0] - 1
            if last == float("inf"):  # an iterable dataset without a length
                last = self.images - 1
            steps = max(1, self.images - 1)
            self._chosen.update(round(i * last / steps) for i in range(self.images))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Predict the first images of a chosen batch."""
        if dataloader_idx == 0 and self._chosen[batch_idx]:
            batch = batches.standard_batch(batch)
            for image, label in zip(
                batch["image"][: self._chosen[batch_idx]], batch["label"], strict=False
            ):
                self._rows.append(_prediction_row(pl_module, image, label))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the first mix of the run, and that of the last logging interval."""
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = trainer.global_step
        due = not self._mix or (interval and step % interval == 0)
        if not due or not isinstance(outputs, dict) or "pseudo_label" not in outputs:
            return
        if not self._is_writing(trainer) or step == self._mix_step:
            return
        module: Any = pl_module
        palette = module.palette or default_palette(module.num_classes)
        image = batches.standard_batch(batch)["unlabeled"]["image"]
        scale = {"mean": module.mean, "std": module.std}
        self._mix = {
            "image A": image_tile(image[0], **scale),
            "image B": image_tile(image[1], **scale),
            "pseudo-label of A": label_tile(outputs["pseudo_label"][0], palette),
            "mask: pixels of A": gray_tile(outputs["mask"][0]),
            "mixed image": image_tile(outputs["mixed"][0], **scale),
            "target": label_tile(outputs["target"][0], palette),
            "confidence": gray_tile(outputs["confidence"][0]),
        }
        self._mix_step = step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pictures."""
        if self._rows:
            self._write(
                trainer, pl_module, "validation", self._rows, trainer.global_step
            )
        self._rows = []
        self._write_mix(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last mix, if no validation followed it."""
        self._write_mix(trainer, pl_module)

    def _write_mix(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._mix:
            self._write(trainer, pl_module, "mix", [self._mix], self._mix_step)
        self._mix = {}

    def _write(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        name: str,
        rows: list[dict[str, Picture]],
        step: int,
    ) -> None:
        module: Any = pl_module
        palette = module.palette or default_palette(module.num_classes)
        picture = montage(rows, class_names=module.class_names, palette=palette)
        for logger in trainer.loggers:
            log_picture(logger, f"{FOLDER}/{name}", picture, step)
        if self._folder is not None:
            save_picture(self._folder / f"{name}-{step:08d}.png", picture)

    def _is_writing(self, trainer: Trainer) -> bool:
        return trainer.is_global_zero and not is_trial(trainer)


def _prediction_row(module: Any, image: Tensor, label: Tensor) -> dict[str, Picture]:
    palette = module.palette or default_palette(module.num_classes)
    row = {
        "image": image_tile(image, mean=module.mean, std=module.std),
        "truth": label_tile(label, palette),
    }
    for network in module.networks:
        logits = module.predict_logits(image[None], network)
        confidence, predicted = ops.pseudo_label(logits)
        row[network] = label_tile(predicted[0], palette)
    row[f"confidence of the {network}"] = gray_tile(confidence[0])
    return row


def is_trial(trainer: Trainer) -> bool:
    """Return whether a validation is a sanity check or part of ``fast_dev_run``."""
    return bool(trainer.sanity_checking or trainer.fast_dev_run)  # type: ignore[attr-defined]


def picture_folder(trainer: Trainer) -> Path | None:
    """Return the folder of the PNG files; None if the log folder is not local.

    Call it on all devices: the first one decides.
    """
    folder = str(trainer.log_dir or trainer.default_root_dir)
    return None if "://" in folder else Path(folder) / FOLDER


def save_picture(path: Path, picture: Picture) -> None:
    """Write a PNG file that is complete as soon as it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        # The lowest level takes a third of the time, for files a fifth larger.
        Image.fromarray(picture).save(file, format="PNG", compress_level=1)


def log_picture(logger: Logger, name: str, picture: Picture, step: int) -> None:
    """Hand a picture to a logger that can show it; others ignore it."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step)
    elif isinstance(logger, MLFlowLogger):
        file = f"{name}-{step:08d}.png"
        logger.experiment.log_image(logger.run_id, picture, artifact_file=file)
