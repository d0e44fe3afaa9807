"""Try learning rates of Supervised on CamVid; prints the mIoU of each.

The scores are those on training images that keep no label for training: the
validation list plays no part in the choice.
"""

import argparse

import torch
from lightning.pytorch import Trainer, seed_everything

from lightning_classmix import CamVidDataModule, Supervised
from lightning_classmix.datasets.image_files import Files

RATES = [(3e-4, 1.0), (1e-3, 1.0), (1e-3, 0.1), (3e-3, 0.1), (1e-2, 0.1)]


class HeldOut(CamVidDataModule):
    """CamVid that validates on every third training image, and trains on the rest."""

    def list_files(self) -> Files:
        """Return the training images only, dealt out."""
        pool = super().list_files().labeled
        held = range(0, len(pool), 3)
        return Files(
            labeled=pool.take([i for i in range(len(pool)) if i not in held]),
            val=pool.take(held),
        )


def main() -> None:
    """Train once for every rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="folder of CamVid")
    parser.add_argument("weights", help="file of the encoder's ImageNet weights")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", type=int, nargs="*", default=range(len(RATES)))
    arguments = parser.parse_args()
    for number in arguments.only:
        lr, factor = RATES[number]
        seed_everything(0, verbose=False)
        module = Supervised(
            11,
            encoder="mobilenet_v2",
            encoder_weights=arguments.weights,
            lr=lr,
            encoder_lr_factor=factor,
        )
        trainer = Trainer(
            max_steps=arguments.steps,
            max_epochs=-1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(module, HeldOut(arguments.root, crop=(224, 224)))
        trainer.limit_val_batches = 1.0
        miou = trainer.validate(module, HeldOut(arguments.root), verbose=False)[0]
        print(f"lr {lr}, encoder x {factor}: {100 * miou['val_miou']:.1f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
