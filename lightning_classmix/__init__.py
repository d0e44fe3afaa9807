"""Semi-supervised semantic segmentation with ClassMix, for PyTorch Lightning.

Public names are imported when they are first used, so that `ops` needs torch only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors read; the same names as _MODULES
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

_MODULES = {
    "AtomicCheckpointIO": "checkpoints",
    "CamVidDataModule": "datamodules.camvid",
    "CityscapesDataModule": "datamodules.cityscapes",
    "ClassMix": "modules.classmix",
    "EMATeacher": "callbacks.ema_teacher",
    "FileDataModule": "datamodules.files",
    "FolderDataModule": "datamodules.folder",
    "PascalVOCDataModule": "datamodules.pascal_voc",
    "Predictor": "inference.predictor",
    "SemiSupervisedDataModule": "datamodules.semi_supervised",
    "StreetScenesDataModule": "datamodules.street_scenes",
    "Supervised": "modules.supervised",
    "build_model": "models.build",
    "export": "inference.export",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "ops":
        return import_module(f"{__name__}.ops")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # later uses do not come here
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
