"""Compare learning rates for each method of the demo.

Trains both at four rates on the scenes of seed 0, as ``classmix demo`` does, and prints
their mIoU on 500 validation scenes, which the demo does not test on.
"""

import warnings

import torch
from lightning.pytorch import Trainer

from lightning_classmix import StreetScenesDataModule
from lightning_classmix.experiments.demo import METHODS, train

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
data = StreetScenesDataModule(labeled=6, unlabeled=300, val=500, test=0, size=(64, 96))
for name, (method, _) in METHODS.items():
    for lr in (0.001, 0.003, 0.01, 0.03):
        module, _ = train(method, lr, data, seed=0, steps=1500)
        trainer = Trainer(devices=1, logger=False)
        (scores,) = trainer.validate(module, data, verbose=False)
        print(f"{name} at {lr}: mIoU {100 * scores['val_miou']:.1f}", flush=True)
