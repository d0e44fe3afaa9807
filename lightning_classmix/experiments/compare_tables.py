"""The report of a comparison: tables in Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from lightning_classmix.experiments.compare_methods import BASELINE
from lightning_classmix.experiments.compare_results import (
    Summary,
    scores_by_seed,
    summarize,
    summarize_all,
)

Trials = Mapping[str, Mapping[float, float | None]]
"""Score of each tried learning rate in [0, 1], by method; None if it diverged."""


def markdown_report(
    results: Sequence[Mapping[str, Any]],
    trials: Trials,
    environment: Mapping[str, Any],
) -> str:
    """Return the Markdown page of a comparison.

    Args:
        results: Results of runs.
        trials: Scores of the learning rates.
        environment: Commit and versions.
    """
    methods = list(dict.fromkeys(result["method"] for result in results))
    counts = sorted({result["labels"] for result in results})
    rates = {result["method"]: f"{result['lr']:g}" for result in results}
    summaries = summarize_all(results)
    first = results[0]
    seeds = dict.fromkeys(str(result["seed"]) for result in results)
    versions = environment["versions"].items()
    description = [
        f"data: {first['data']}, {json.dumps(first['data_arguments'])}",
        f"arguments of all methods: {json.dumps(first['shared'])}",
        f"steps: {first['steps']}",
        f"seeds: {', '.join(seeds)}",
        f"commit: {environment['commit']}",
        f"versions: {', '.join(f'{name} {version}' for name, version in versions)}",
        "± after a score: standard deviation over the seeds; after a difference:"
        " standard error of the mean of the paired differences",
    ]
    parts = ["# Comparison", "\n".join(f"* {line}" for line in description)]

    parts.append("## mIoU on the validation images, in points")
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
    parts.append(_markdown(heads, rows))

    parts.append("## Student and teacher: mIoU in points")
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
    parts.append(_markdown(heads, rows))

    for labels in counts:
        parts.append(f"## IoU per class with {labels} labels: mean over seeds")
        rows = [
            [name, *(_mean_iou(results, method, labels, name) for method in methods)]
            for name in results[0]["iou"]
        ]
        parts.append(_markdown(["class", *methods], rows))

    if trials:
        parts.append("## Learning rates: mIoU on the held-out images, in points")
        tried = sorted({rate for scores in trials.values() for rate in scores})
        rows = [
            [method, *(_trial(scores, rate) for rate in tried)]
            for method, scores in trials.items()
        ]
        parts.append(_markdown(["method", *(f"{rate:g}" for rate in tried)], rows))
    return "\n\n".join(parts) + "\n"


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
