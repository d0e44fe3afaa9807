"""Semi-supervised semantic segmentation with ClassMix, for PyTorch Lightning."""

from lightning_classmix import ops
from lightning_classmix.checkpoint_io import AtomicCheckpointIO
from lightning_classmix.classmix import ClassMix
from lightning_classmix.data.camvid import CamVidDataModule
from lightning_classmix.data.cityscapes import CityscapesDataModule
from lightning_classmix.data.datamodule import SemiSupervisedDataModule
from lightning_classmix.data.folder import FolderDataModule
from lightning_classmix.data.pascal_voc import PascalVOCDataModule
from lightning_classmix.data.street_scenes import StreetScenesDataModule
from lightning_classmix.models.factory import build_model
from lightning_classmix.supervised import Supervised
from lightning_classmix.teacher import EMATeacher

__all__ = [
    "AtomicCheckpointIO",
    "CamVidDataModule",
    "CityscapesDataModule",
    "ClassMix",
    "EMATeacher",
    "FolderDataModule",
    "PascalVOCDataModule",
    "SemiSupervisedDataModule",
    "StreetScenesDataModule",
    "Supervised",
    "build_model",
    "ops",
]
