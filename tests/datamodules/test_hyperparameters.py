import io
from pathlib import Path
from typing import Any

import albumentations as A
import torch

from lightning_classmix import FolderDataModule, StreetScenesDataModule


class OneSensor(FolderDataModule):
    def __init__(self, root: Path, sensor: str, **kwargs: Any) -> None:
        super().__init__(root, num_classes=4, **kwargs)
        self.sensor_name = sensor


def test_arguments_of_a_subclass_and_of_its_bases_are_saved(tmp_path: Path) -> None:
    data = OneSensor(tmp_path, "front", labeled=0.5)
    assert data.hparams["sensor"] == "front"
    assert data.hparams["labeled"] == 0.5
    assert data.hparams["split"] is None  # a default of the base class
    again = OneSensor(**{k: v for k, v in data.hparams.items() if k != "num_classes"})
    assert again.hparams == data.hparams


def test_paths_are_saved_as_text(tmp_path: Path) -> None:
    data = FolderDataModule(tmp_path, predict=tmp_path, batch_size=2)
    assert data.hparams["root"] == data.hparams["predict"] == str(tmp_path)
    assert data.hparams["batch_size"] == 2
    assert "transform" not in data.hparams


def test_a_pipeline_is_saved_as_plain_values() -> None:
    pipeline = A.Compose([A.VerticalFlip(p=1.0)])
    data = StreetScenesDataModule(2, 2, 2, size=(32, 48), transform=pipeline)
    file = io.BytesIO()
    torch.save(dict(data.hparams), file)
    file.seek(0)
    arguments = torch.load(file, weights_only=True)
    loaded = StreetScenesDataModule(**arguments).transform
    assert isinstance(loaded, A.Compose)
    assert A.to_dict(loaded) == A.to_dict(pipeline)
