"""Hyperparameters of a data module: its arguments as plain values, for checkpoints."""

from dataclasses import asdict
from pathlib import Path

from lightning.pytorch import LightningDataModule

from lightning_classmix.datamodules.reproduction import DataReproduction
from lightning_classmix.datasets.transforms import Pipeline, plain_pipeline


def save_arguments(data: LightningDataModule, transform: Pipeline | None) -> None:
    """Save the arguments of a data module's constructor as its hyperparameters.

    A constructor calls this; arguments of the constructors of subclasses are included.

    Args:
        data: Data module under construction.
        transform: Its pipeline for training images; saved as plain values, or as None
            if it has steps of other packages than albumentations.
    """
    # Lightning finds the arguments in the stack frames of the constructors. Attributes
    # cannot replace that, since some hold other values (`labeled` becomes files), and a
    # mapping that each subclass passes loses any argument that its author forgets.
    data.save_hyperparameters(ignore=["transform"], logger=False)
    for name, value in data.hparams.items():
        if isinstance(value, Path):
            data.hparams[name] = str(value)
        elif isinstance(value, DataReproduction):
            data.hparams[name] = asdict(value)
    if transform is not None:
        data.hparams["transform"] = plain_pipeline(transform)
