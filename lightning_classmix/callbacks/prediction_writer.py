"""Write predictions to files: label maps and color overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch.nn import functional

from lightning_classmix.atomic import atomic_file
from lightning_classmix.colors import default_palette, to_colors, to_picture


class PredictionWriter(BasePredictionWriter):
    """Write the results of ``predict`` as PNG files, batch by batch.

    ``predictions/labels`` receives index images with a palette (the class per pixel),
    ``predictions/overlays`` the class colors blended over the image. Existing files are
    never overwritten.

    Args:
        folder: Folder in which ``predictions`` is created; None for the Trainer's log
            folder.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self.written = 0
        """Number of predictions written; at the end, by all devices together."""
        self.faults: list[str] = []
        """One message for each image that could not be read."""

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new folder.

        Raises:
            FileExistsError: If the folder is not empty.
        """
        self.written = 0
        self.faults = []
        folder = self.folder or trainer.log_dir or trainer.default_root_dir
        self.predictions = Path(folder) / "predictions"
        filled = self.predictions.is_dir() and any(self.predictions.iterdir())
        if trainer.strategy.broadcast(filled):  # before any device writes
            raise FileExistsError(
                f"predictions must be an empty or new folder, got {self.predictions};"
                " move it"
            )

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect the counts and error messages of all devices."""
        if trainer.world_size > 1:
            results: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(results, (self.written, self.faults))
            self.written = sum(written for written, _ in results)
            self.faults = [fault for _, faults in results for fault in faults]

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Any],
        batch_indices: Sequence[int] | None,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the labels and overlays of one batch, or keep its error messages."""
        if "error" in prediction:
            self.faults += prediction["error"]
            return
        module: Any = pl_module
        palette = module.palette or default_palette(module.num_classes)
        for name, label, image in zip(
            prediction["name"], prediction["label"], batch["image"], strict=True
        ):
            index_image = Image.fromarray(label.byte().cpu().numpy()).convert("P")
            index_image.putpalette(np.array(palette, np.uint8).tobytes())
            resized = functional.interpolate(
                image[None].float(), tuple(label.shape), mode="bilinear"
            )[0]
            picture = to_picture(resized, mean=module.mean, std=module.std)
            blended = (picture.astype(np.uint16) + to_colors(label, palette)) // 2
            overlay = Image.fromarray(blended.astype(np.uint8))
            for kind, png in (("labels", index_image), ("overlays", overlay)):
                path = self.predictions / kind / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise FileExistsError(
                        f"the images must have different names, got {name} twice"
                    )
                with atomic_file(path) as file:
                    png.save(file, format="PNG")
            self.written += 1
