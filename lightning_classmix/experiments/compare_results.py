"""Summarize the runs of a comparison: means, standard deviations, differences."""

import csv
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import torch

from lightning_classmix.atomic import atomic_file
from lightning_classmix.experiments.compare_methods import BASELINE

_PACKAGES = (
    "lightning-classmix",
    "lightning",
    "torchmetrics",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "kornia",
    "numpy",
)


class Summary(NamedTuple):
    """Scores of one method and label count over the seeds, in points."""

    mean: float
    """Mean over the seeds."""
    std: float | None
    """Standard deviation over the seeds, with n - 1; None for one seed."""
    difference: float | None
    """Mean of the differences to the baseline with the same labels and seed; None for
    the baseline, and if it was not run."""
    standard_error: float | None
    """Standard error of that mean; None for fewer than two seeds."""


def summarize(
    scores: Mapping[int, float], baseline: Mapping[int, float] | None
) -> Summary:
    """Summarize the scores of one method and label count.

    Args:
        scores: Score by seed, in points.
        baseline: Score of the baseline by seed, in points; None for no differences.

    Example:
        >>> summarize({0: 41.0, 1: 45.0}, {0: 40.0, 1: 42.0})
        Summary(mean=43.0, std=2.8284271247461903, difference=2.0, standard_error=1.0)
    """
    values = list(scores.values())
    several = len(values) > 1
    summary = Summary(mean(values), stdev(values) if several else None, None, None)
    if baseline is None:
        return summary
    differences = [scores[seed] - baseline[seed] for seed in scores]
    error = stdev(differences) / sqrt(len(differences)) if several else None
    return summary._replace(difference=mean(differences), standard_error=error)


def scores_by_seed(
    results: Iterable[Mapping[str, Any]],
    method: str,
    labels: int,
    network: str | None = None,
) -> dict[int, float]:
    """Return the mIoU of each seed, in points.

    Args:
        results: Results of runs.
        method: Name of the method.
        labels: Number of labeled images.
        network: ``student`` or ``teacher``; None for the network that predicts.
    """
    return {
        result["seed"]: 100
        * (result if network is None else result["networks"][network])["miou"]
        for result in results
        if (result["method"], result["labels"]) == (method, labels)
    }


def summarize_all(
    results: Sequence[Mapping[str, Any]],
) -> dict[str, dict[int, Summary]]:
    """Return a summary for each method and label count."""
    methods = dict.fromkeys(result["method"] for result in results)
    counts = sorted({result["labels"] for result in results})

    def baseline(method: str, labels: int) -> dict[int, float] | None:
        if method == BASELINE or BASELINE not in methods:
            return None
        return scores_by_seed(results, BASELINE, labels)

    return {
        method: {
            labels: summarize(
                scores_by_seed(results, method, labels), baseline(method, labels)
            )
            for labels in counts
        }
        for method in methods
    }


def write_csv(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Write a row for each run: its scores in [0, 1], then its settings.

    Args:
        path: File to write.
        results: Results of runs, of the same classes.
    """
    first = ("method", "labels", "seed", "miou")
    last = ("accuracy", "evaluate", "lr", "steps")
    described = {"iou", "networks", *first, *last}
    others = [name for name in results[0] if name not in described]
    rows = []
    for result in results:
        row = {name: result[name] for name in first}
        for network in ("student", "teacher"):
            row[f"miou_{network}"] = result["networks"].get(network, {}).get("miou")
        row |= {name: result[name] for name in last}
        row |= {f"iou/{name}": iou for name, iou in result["iou"].items()}
        row |= {name: json.dumps(result[name]) for name in others}
        rows.append(row)
    with atomic_file(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def environment() -> dict[str, Any]:
    """Return the commit of this package's checkout, if any, and package versions."""
    folder = Path(__file__).parent
    commit = None
    try:  # a file that git does not track belongs to an installed package
        _git(folder, "ls-files", "--error-unmatch", "demo.py")
        commit = _git(
            folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"
        )
    except (OSError, subprocess.CalledProcessError):
        pass
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions |= {name: version(name) for name in _PACKAGES}
    return {"commit": commit, "versions": versions}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
