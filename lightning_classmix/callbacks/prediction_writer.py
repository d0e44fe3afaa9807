"""Predictions on a disk: label maps, and what they look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from lightning_classmix.colors import default_palette, to_colors, to_picture


class PredictionWriter(BasePredictionWriter):
    """Write what ``predict`` says as PNG files, as soon as it is said.

    ``predictions/labels`` gets index images with a palette, the class per pixel, and
    ``predictions/overlays`` the classes in color over the image. Nothing that is there
    already is written over.

    Args:
        folder: Where ``predictions`` is made; the Trainer's log folder if None.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self.written = 0
        """Predictions that were written; at the end, by all devices together."""
        self.faults: list[str] = []
        """What was wrong with the others."""

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count anew, in a new folder.

        Raises:
            FileExistsError: If the folder holds something already.
        """
        self.written, self.faults = 0, []
        folder = self.folder or trainer.log_dir or trainer.default_root_dir
        self.predictions = Path(folder) / "predictions"
        filled = self.predictions.is_dir() and any(self.predictions.iterdir())
        if trainer.strategy.broadcast(filled):  # before any device writes
            raise FileExistsError(
                f"predictions must be a new folder, got {self.predictions}; move it"
            )

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add up what the devices wrote."""
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, (self.written, self.faults))
            self.written = sum(written for written, _ in shares)
            self.faults = [fault for _, faults in shares for fault in faults]

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
        """Write the labels and overlays of one batch, or keep its errors."""
        if "error" in prediction:
            self.faults += prediction["error"]
            return
        module: Any = pl_module
        palette = module.palette or default_palette(module.num_classes)
        for name, label, image in zip(
            prediction["name"], prediction["label"], batch["image"], strict=True
        ):
            index = Image.fromarray(label.byte().cpu().numpy()).convert("P")
            index.putpalette(np.array(palette, np.uint8).tobytes())
            shown = _resize(image, label.shape)
            picture = to_picture(shown, mean=module.mean, std=module.std)
            data = trainer.datamodule  # type: ignore[attr-defined]
            if getattr(data, "channel_order", "rgb") == "bgr":
                picture = picture[..., ::-1]
            colors = to_colors(label, palette)
            overlay = Image.fromarray(_blend(picture, colors))
            for kind, file in (("labels", index), ("overlays", overlay)):
                path = self.predictions / kind / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as new:  # never over a file that exists
                    file.save(new, format="PNG")
            self.written += 1


def _resize(image: Tensor, size: Sequence[int]) -> Tensor:
    resized = functional.interpolate(image[None].float(), tuple(size), mode="bilinear")
    return resized[0]


def _blend(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ((one.astype(np.uint16) + other) // 2).astype(np.uint8)
