"""One run of a comparison: its settings, its folder and its result."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.experiments.compare_methods import Method


@dataclass(frozen=True)
class Setup:
    """The part of a comparison that all of its runs share.

    Args:
        data_class: Class of the data module.
        data_arguments: Arguments of the data module, plain values.
        shared: Arguments of `Supervised` that all methods share.
        out: Folder of the comparison; ``lists`` in it names the images of each split.
    """

    data_class: type[SemiSupervisedDataModule]
    data_arguments: Mapping[str, Any]
    shared: Mapping[str, Any]
    out: Path


@dataclass(frozen=True)
class Run:
    """A training to compare with others, or a trial of a learning rate.

    Args:
        setup: Part that all runs share.
        name: Name of the method.
        method: Class and arguments of the method.
        labels: Number of labeled images.
        seed: Seed of the labeled images, the initial weights and the training.
        steps: Optimizer steps.
        lr: Learning rate at the first step.
        trial: True to score on the held-out images, for the choice of a rate.
    """

    setup: Setup
    name: str
    method: Method
    labels: int
    seed: int
    steps: int
    lr: float
    trial: bool = False

    def __str__(self) -> str:
        """Return a description for messages."""
        trial = f", trial of lr {self.lr:g}" if self.trial else ""
        return f"{self.name}, {self.labels} labels, seed {self.seed}{trial}"

    @property
    def folder(self) -> Path:
        """Folder of the checkpoint, the log and the result."""
        if self.trial:
            return self.setup.out / "rates" / self.name / f"{self.lr:g}"
        path = self.setup.out / "runs" / self.name
        return path / f"{self.labels}-labels-seed-{self.seed}"

    def settings(self) -> dict[str, Any]:
        """Return all that decides the result, as JSON holds it."""
        data_class = self.setup.data_class
        arguments = dict(self.setup.data_arguments)
        arguments.pop("num_workers", None)  # does not change a result
        settings = {
            "method": self.name,
            "class_path": self.method.class_path,
            "init_args": self.method.init_args,
            "decay": self.method.decay,
            "shared": dict(self.setup.shared),
            "data": f"{data_class.__module__}.{data_class.__qualname__}",
            "data_arguments": arguments,
            "labels": self.labels,
            "seed": self.seed,
            "steps": self.steps,
            "lr": self.lr,
            "scored_on": "held-out training images" if self.trial else "validation",
        }
        plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
        return plain

    def result(self) -> dict[str, Any] | None:
        """Return the settings and scores of a finished run, None before its end.

        Raises:
            ValueError: If the folder holds a run with other settings.
        """
        path = self.folder / "settings.json"
        if not path.exists():
            return None
        settings = self.settings()
        found = json.loads(path.read_text())
        for key in settings:
            if found.get(key) != settings[key]:
                raise ValueError(
                    f"out must be a folder of runs with the same settings, got {key}"
                    f" {found.get(key)} instead of {settings[key]} in {path}; give"
                    " another folder"
                )
        result = self.folder / "result.json"
        return settings | json.loads(result.read_text()) if result.exists() else None
