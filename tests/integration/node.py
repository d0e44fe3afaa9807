"""Train on one of two nodes; a script that torchrun starts."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from lightning_classmix import ClassMix
from tests import tiny


class LabeledImages(Callback):
    """Record the first pixel of every labeled image."""

    def __init__(self) -> None:
        self.images: list[float] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record one pixel of each labeled image."""
        self.images += batch["labeled"]["image"][:, 0, 0, 0].tolist()


def main(folder: Path) -> None:
    """Train, and save the teacher and the recorded pixels."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seed_everything(0)
    module: Any = ClassMix(
        tiny.CLASSES, network=tiny.network(norm=False), labeled_only_steps=1
    )
    trainer: Trainer = tiny.trainer(
        devices=1, num_nodes=2, strategy="ddp", max_steps=10, limit_val_batches=0
    )
    labeled = LabeledImages()
    trainer.callbacks.insert(0, labeled)  # type: ignore[attr-defined]
    trainer.fit(module, tiny.data(labeled=8, unlabeled=20))
    result = {
        "world": trainer.world_size,
        "node": trainer.node_rank,
        "teacher": module.teacher.state_dict(),
        "images": labeled.images,
    }
    torch.save(result, folder / f"{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
