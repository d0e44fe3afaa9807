import subprocess
from pathlib import Path
from typing import Any

import pytest

from lightning_classmix.experiments import compare_results
from lightning_classmix.experiments.compare_results import (
    Summary,
    environment,
    summarize,
    summarize_all,
)
from lightning_classmix.experiments.compare_tables import (
    describe,
    markdown_report,
    report_tables,
)


def result(method: str, labels: int, seed: int, miou: float) -> dict[str, Any]:
    network = {"miou": miou, "accuracy": 0.5, "iou": {"sky": miou, "car": None}}
    return network | {
        "method": method,
        "labels": labels,
        "seed": seed,
        "lr": 0.01,
        "steps": 3,
        "data": "StreetScenesDataModule",
        "data_arguments": {},
        "shared": {},
        "networks": {"student": network},
    }


RESULTS = [
    result("supervised", 6, 0, 0.40),
    result("supervised", 6, 1, 0.50),
    result("supervised", 6, 2, 0.45),
    result("classmix", 6, 0, 0.41),
    result("classmix", 6, 1, 0.54),
    result("classmix", 6, 2, 0.46),
]


def test_a_difference_is_the_mean_of_pairs_with_its_standard_error() -> None:
    summary = summarize_all(RESULTS)["classmix"][6]
    # Scores 41, 54, 46: mean 47, squared deviations 36 + 49 + 1 = 86, over n - 1 = 2.
    assert summary.mean == pytest.approx(47)
    assert summary.std == pytest.approx(43**0.5)
    # Differences 1, 4, 1: mean 2, variance (1 + 4 + 1) / 2 = 3, standard error 1.
    assert summary.difference == pytest.approx(2)
    assert summary.standard_error == pytest.approx(1)


def test_differences_pair_equal_seeds_whatever_their_order() -> None:
    summary = summarize({0: 41.0, 1: 45.0}, {1: 42.0, 0: 40.0})
    assert summary.difference == 2
    assert summary.standard_error == pytest.approx(1)


def test_one_seed_has_neither_standard_deviation_nor_error() -> None:
    assert summarize({0: 41.0}, {0: 40.0}) == Summary(41.0, None, 1.0, None)


def test_without_the_baseline_there_are_no_differences() -> None:
    summaries = summarize_all(RESULTS[3:])
    assert summaries["classmix"][6].difference is None


def test_the_report_shows_scores_differences_classes_and_rates() -> None:
    trials = {"classmix": {0.01: 0.25, 0.1: None}}
    description = describe(RESULTS, {"commit": None, "versions": {}})
    report = markdown_report(description, report_tables(RESULTS, trials))
    lines = report.splitlines()
    assert "| supervised | 0.01 | 45.0 ± 5.0 | - |" in lines
    assert "| classmix | 0.01 | 47.0 ± 6.6 | +2.0 ± 1.0 |" in lines
    assert "| classmix | student | 47.0 ± 6.6 |" in lines
    assert "| sky | 45.0 | 47.0 |" in lines
    assert "| car | - | - |" in lines
    assert "| classmix | 25.0 | diverged |" in lines


def test_the_commit_is_none_outside_of_a_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "demo.py").touch()
    monkeypatch.setattr(compare_results, "__file__", str(tmp_path / "x.py"))
    assert environment()["commit"] is None
    # A checkout around an installed package is another project's.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert environment()["commit"] is None
    assert "torch" in environment()["versions"]
