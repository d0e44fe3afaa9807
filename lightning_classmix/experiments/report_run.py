"""Read what a run has written: settings, logged values, validation record, pictures."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_classmix.callbacks.pictures import FOLDER
from lightning_classmix.callbacks.validation_record import FILE

_RECORDED = ("step", "evaluate", "class_names", "scores", "worst", "best")

Curve = list[tuple[float, float]]
"""(step, value) in the order of the steps."""


@dataclass(frozen=True)
class RecordedRun:
    """The files of a run.

    Args:
        folder: Folder of the run.
        curves: Logged values by their keys.
        settings: Content of ``config.yaml``; None if there is none.
        validation: Content of ``validation.json``; None if there is none.
        earlier: Folders of the runs that this one continues, the latest first.
    """

    folder: Path
    curves: dict[str, Curve]
    settings: dict[str, Any] | None
    validation: dict[str, Any] | None
    earlier: list[Path]

    def pictures(self, pattern: str) -> list[Path]:
        """Return PNG files of the run, sorted by name.

        Args:
            pattern: Pattern of the name without suffix, such as ``mix-*``.
        """
        return sorted((self.folder / FOLDER).glob(f"{pattern}.png"))

    def setting(self, *keys: str) -> Any:
        """Return one setting by its keys in ``config.yaml``; None if there is none."""
        value: Any = self.settings
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read_run(folder: Path) -> RecordedRun:
    """Read the folder of a run, and the logged values of the runs that it continues.

    Args:
        folder: Folder that ``fit`` wrote, such as ``lightning_logs/version_0``.

    Raises:
        FileNotFoundError: If the folder or its ``metrics.csv`` does not exist.
        ValueError: If a file cannot be read.
    """
    if not (folder / "metrics.csv").is_file():
        raise FileNotFoundError(
            f"run must be a folder with the metrics.csv that fit writes, got {folder};"
            " name a folder such as lightning_logs/version_0, or add CSVLogger to"
            " trainer.logger"
        )
    curves = _read_curves(folder / "metrics.csv")
    settings = _read_settings(folder)
    earlier: list[Path] = []
    previous = _previous_run(settings)
    while previous is not None and previous not in (folder, *earlier):
        earlier.append(previous)
        _prepend(curves, _read_curves(previous / "metrics.csv"))
        previous = _previous_run(_read_settings(previous))
    validation = None
    path = folder / FILE
    if path.is_file():
        try:
            validation = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} must be JSON, got: {error}") from error
        if not isinstance(validation, dict):
            validation = {}
        missing = [key for key in _RECORDED if key not in validation]
        missing += [k for k in ("worst", "best") if _is_no_list(validation.get(k))]
        if missing:
            raise ValueError(
                f"{path} must be written by ValidationRecord, got no"
                f" {', '.join(missing)}"
            )
    return RecordedRun(folder, curves, settings, validation, earlier)


def _is_no_list(entries: Any) -> bool:
    """Return whether entries of images do not have the form that is written."""
    needed = {"name", "miou", "file"}
    return not isinstance(entries, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() for entry in entries
    )


def _read_curves(path: Path) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    # A file that is no text fails as one that holds no numbers.
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                step = float(row["step"])
                values = {
                    key: float(value)
                    for key, value in row.items()
                    if key not in ("step", "epoch") and value
                }
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} must hold numbers in columns, one of them step, got line"
                    f" {reader.line_num}: {error}"
                ) from error
            for key, value in values.items():
                curves.setdefault(key, []).append((step, value))
    return curves


def _read_settings(folder: Path) -> dict[str, Any] | None:
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be YAML, got: {reason}") from error
    return content if isinstance(content, dict) else None


def _previous_run(settings: dict[str, Any] | None) -> Path | None:
    """Return the folder of the run whose checkpoint a run was started from."""
    checkpoint = (settings or {}).get("ckpt_path")
    if not isinstance(checkpoint, str):
        return None
    folder = Path(checkpoint).parent.parent
    return folder if (folder / "metrics.csv").is_file() else None


def _prepend(curves: dict[str, Curve], earlier: dict[str, Curve]) -> None:
    """Put the values from before the first step of a run in front of its own."""
    first = min((c[0][0] for c in curves.values()), default=math.inf)
    for key, curve in earlier.items():
        before = [(step, value) for step, value in curve if step < first]
        curves[key] = before + curves.get(key, [])
