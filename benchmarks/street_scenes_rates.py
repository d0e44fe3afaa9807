"""Compare learning rates for each method of the demo.

Trains both as ``classmix demo`` does, with three seeds, and prints their mIoU on 500
validation scenes, which the demo does not test on.
"""

import statistics
import warnings

import torch
from lightning.pytorch import Trainer

from lightning_classmix import StreetScenesDataModule
from lightning_classmix.experiments.demo import METHODS, train

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
for name, (method, _) in METHODS.items():
    for lr in (0.003, 0.01, 0.03):
        mious = []
        for seed in (0, 1, 2):
            data = StreetScenesDataModule(
                labeled=6, unlabeled=300, val=500, test=0, size=(64, 96), seed=seed
            )
            module, _ = train(method, lr, data, seed=seed, steps=1500)
            trainer = Trainer(devices=1, logger=False)
            (scores,) = trainer.validate(module, data, verbose=False)
            mious.append(100 * scores["val_miou"])
        each = ", ".join(f"{miou:.1f}" for miou in mious)
        mean = statistics.mean(mious)
        print(f"{name} at {lr}: mIoU {mean:.1f}, each seed {each}", flush=True)
