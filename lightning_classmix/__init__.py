"""Semi-supervised semantic segmentation with ClassMix, for PyTorch Lightning."""

from lightning_classmix import ops
from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.datamodules.camvid import CamVidDataModule
from lightning_classmix.datamodules.cityscapes import CityscapesDataModule
from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datamodules.folder import FolderDataModule
from lightning_classmix.datamodules.pascal_voc import PascalVOCDataModule
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.datamodules.street_scenes import StreetScenesDataModule
from lightning_classmix.inference.export import export
from lightning_classmix.inference.predictor import Predictor
from lightning_classmix.models.build import build_model
from lightning_classmix.modules.classmix import ClassMix
from lightning_classmix.modules.supervised import Supervised

__all__ = [
    "AtomicCheckpointIO",
    "CamVidDataModule",
    "CityscapesDataModule",
    "ClassMix",
    "EMATeacher",
    "FileDataModule",
    "FolderDataModule",
    "PascalVOCDataModule",
    "Predictor",
    "SemiSupervisedDataModule",
    "StreetScenesDataModule",
    "Supervised",
    "build_model",
    "export",
    "ops",
]
