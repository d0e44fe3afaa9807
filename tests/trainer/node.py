"""What one node of a run on several nodes does; torchrun starts it."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything

from lightning_classmix import ClassMix
from tests import tiny


def main(folder: Path) -> None:
    """Train, and write the teacher down."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seed_everything(0)
    module: Any = ClassMix(
        tiny.CLASSES, network=tiny.network(norm=False), labeled_only_steps=1
    )
    trainer: Trainer = tiny.trainer(
        devices=1, num_nodes=2, strategy="ddp", max_steps=10, limit_val_batches=0
    )
    trainer.fit(module, tiny.data(labeled=8, unlabeled=20))
    state = module.teacher.state_dict()
    place = {"world": trainer.world_size, "node": trainer.node_rank}
    torch.save(place | {"teacher": state}, folder / f"{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
