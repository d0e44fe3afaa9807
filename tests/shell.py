"""Run ``classmix`` within the test process, on a small folder of images."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_classmix.callbacks import montage
from lightning_classmix.cli.main import main

CONV = {"in_channels": 3, "out_channels": 3, "kernel_size": 1}
RECIPE: dict[str, Any] = {
    "data": {
        "class_path": "FolderDataModule",
        "init_args": {"crop": [16, 16], "batch_size": 2, "num_workers": 0},
    },
    "model": {
        "class_path": "ClassMix",
        "init_args": {
            "network": {"class_path": "torch.nn.Conv2d", "init_args": CONV},
            "labeled_only_steps": 1,
            "ramp_steps": 0,
        },
    },
    "trainer": {
        "max_steps": 4,
        "val_check_interval": 2,
        "check_val_every_n_epoch": None,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "callbacks": [
            {
                "class_path": "ModelCheckpoint",
                "init_args": {"monitor": "val_miou", "mode": "max"},
            }
        ],
    },
}
FIT = "fit --config recipe.yaml --data.root data"


class Shell:
    """Runs ``classmix`` in a folder that holds a dataset and a recipe."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setattr(montage, "TILE", 60)  # small pictures are written faster
        self.write("recipe.yaml", RECIPE)

    def write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content))

    def __call__(self, line: str, *more: str) -> tuple[int, str, str]:
        """Return exit status, output and errors."""
        arguments = ["classmix", *line.split(), *more]
        self.monkeypatch.setattr(sys, "argv", arguments)
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *self.capsys.readouterr()

    def fails(self, line: str, *more: str) -> str:
        """Run what must fail, and return the last line."""
        status, _, errors = self(line, *more)
        assert status > 0
        assert "Traceback" not in errors
        return str(errors.splitlines()[-1])


def weights(path: Path) -> Any:
    return torch.load(path, weights_only=True)["state_dict"]
