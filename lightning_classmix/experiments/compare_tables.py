"""The tables of a comparison, and its report in Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from lightning_classmix.experiments.compare_methods import BASELINE
from lightning_classmix.experiments.compare_results import (
    Summary,
    scores_by_seed,
    summarize,
    summarize_all,
)

Trials = Mapping[str, Mapping[float, float | None]]
"""Score of each tried learning rate in [0, 1], by method; None if it diverged."""


class Table(NamedTuple):
    """One table of the report of a comparison."""

    title: str
    heads: Sequence[str]
    """Names of the columns."""
    rows: Sequence[Sequence[str]]


def describe(
    results: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]
) -> list[str]:
    """Return the conditions of a comparison, one per line.

    Args:
        results: Results of runs.
        environment: Commit and versions.
    """
    first = results[0]
    seeds = dict.fromkeys(str(result["seed"]) for result in results)
    versions = environment["versions"].items()
    return [
        f"data: {first['data']}, {json.dumps(first['data_arguments'])}",
        f"arguments of all methods: {json.dumps(first['shared'])}",
        f"steps: {first['steps']}",
        f"seeds: {', '.join(seeds)}",
        f"commit: {environment['commit']}",
        f"versions: {', '.join(f'{name} {version}' for name, version in versions)}",
        "± after a score: standard deviation over the seeds; after a difference:"
        " standard error of the mean of the paired differences",
    ]


def markdown_report(description: Sequence[str], tables: Sequence[Table]) -> str:
    """Return the Markdown page of a comparison.

    Args:
        description: Conditions, as `describe` returns them.
        tables: Tables, as `report_tables` returns them.
    """
    parts = ["# Comparison", "\n".join(f"* {line}" for line in description)]
    for table in tables:
        parts += [f"## {table.title}", _markdown(table.heads, table.rows)]
    return "\n\n".join(parts) + "\n"


def report_tables(results: Sequence[Mapping[str, Any]], trials: Trials) -> list[Table]:
    """Return the tables of a comparison.

    Args:
        results: Results of runs.
        trials: Scores of the learning rates.
    """
    methods = list(dict.fromkeys(result["method"] for result in results))
    counts = sorted({result["labels"] for result in results})
    rates = {result["method"]: f"{result['lr']:g}" for result in results}
    summaries = summarize_all(results)

    heads = ["method", "lr"]
    for labels in counts:
        heads += [f"{labels} labels", f"difference to {BASELINE}"]
    rows = []
    for method in methods:
        row = [method, rates[method]]
        for labels in counts:
            row += [_score(summaries[method][labels])]
            row += [_difference(summaries[method][labels])]
        rows.append(row)
    tables = [Table("mIoU on the validation images, in points", heads, rows)]

    rows = []
    for method in methods:
        example = next(r for r in results if r["method"] == method)
        for network in example["networks"]:
            row = [method, network]
            for labels in counts:
                scores = scores_by_seed(results, method, labels, network)
                row.append(_score(summarize(scores, None)))
            rows.append(row)
    heads = ["method", "network", *(f"{labels} labels" for labels in counts)]
    tables.append(Table("Student and teacher: mIoU in points", heads, rows))

    for labels in counts:
        rows = [
            [name, *(_mean_iou(results, method, labels, name) for method in methods)]
            for name in results[0]["iou"]
        ]
        title = f"IoU per class with {labels} labels: mean over seeds"
        tables.append(Table(title, ["class", *methods], rows))

    if trials:
        tried = sorted({rate for scores in trials.values() for rate in scores})
        rows = [
            [method, *(_trial(scores, rate) for rate in tried)]
            for method, scores in trials.items()
        ]
        heads = ["method", *(f"{rate:g}" for rate in tried)]
        title = "Learning rates: mIoU on the held-out images, in points"
        tables.append(Table(title, heads, rows))
    return tables


def _score(summary: Summary) -> str:
    if summary.std is None:
        return f"{summary.mean:.1f}"
    return f"{summary.mean:.1f} ± {summary.std:.1f}"


def _difference(summary: Summary) -> str:
    if summary.difference is None:
        return "-"
    if summary.standard_error is None:
        return f"{summary.difference:+.1f}"
    return f"{summary.difference:+.1f} ± {summary.standard_error:.1f}"


def _mean_iou(
    results: Sequence[Mapping[str, Any]], method: str, labels: int, name: str
) -> str:
    values = [
        result["iou"][name]
        for result in results
        if (result["method"], result["labels"]) == (method, labels)
        and result["iou"][name] is not None
    ]
    return f"{100 * mean(values):.1f}" if values else "-"


def _trial(scores: Mapping[float, float | None], rate: float) -> str:
    if rate not in scores:
        return "-"
    score = scores[rate]
    return "diverged" if score is None else f"{100 * score:.1f}"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
