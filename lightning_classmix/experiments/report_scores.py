"""Sections of a report for the scores of a validation or test."""

from collections.abc import Mapping
from typing import Any

from lightning_classmix.experiments.report_page import Page

_MOST_CLASSES = 24  # of a confusion matrix


def add_scores(page: Page, validation: Mapping[str, Any]) -> None:
    """Add the table of scores per class, with the means below.

    Args:
        page: Page to add to.
        validation: Record of a validation, as `ValidationRecord` writes it.
    """
    scores = validation["scores"]
    page.section(f"Scores of the validation at step {validation['step']}")
    page.note(
        "In points. Pixels are pooled over all images; '-' marks a class without pixels"
        f" in truth and prediction. The {validation['evaluate']} predicts."
    )
    columns = [
        (network, metric)
        for network, metrics in scores.items()
        for metric in sorted(metrics, key=lambda metric: (metric != "iou", metric))
        if isinstance(metrics[metric], list) and metric != "confusion"
    ]
    names = {"iou": "IoU", "boundary_iou": "boundary IoU"}
    heads = [f"{network} {names.get(metric, metric)}" for network, metric in columns]
    rows: list[list[object]] = [
        [name, *(scores[network][metric][index] for network, metric in columns)]
        for index, name in enumerate(validation["class_names"])
    ]
    means = [
        scores[network].get("miou" if metric == "iou" else f"m{metric}")
        for network, metric in columns
    ]
    rows.append(["mean over the classes", *means])
    page.table(["class", *heads], rows)
    accuracy = ", ".join(
        f"{network} {100 * metrics['accuracy']:.1f}"
        for network, metrics in scores.items()
        if metrics.get("accuracy") is not None
    )
    page.note(f"Share of correct pixels, in points: {accuracy}")


def add_confusion(page: Page, validation: Mapping[str, Any], title: str = "") -> None:
    """Add the confusion matrix of the network that predicts.

    Args:
        page: Page to add to.
        validation: Record of a validation, as `ValidationRecord` writes it.
        title: Name of the network in the title of the section.
    """
    network = validation["evaluate"]
    matrix = validation["scores"].get(network, {}).get("confusion")
    names = validation["class_names"]
    if matrix is None:
        return
    name = title or f"the {network}"
    page.section(f"Confusion matrix of {name}, in % of the true class")
    if len(names) <= _MOST_CLASSES:
        page.matrix(names, matrix)
        return
    page.note(f"{len(names)} classes: the most frequent confusions.")
    pairs = [
        (count, i, j)
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    page.table(
        ["true class", "predicted class", "share of the true class"],
        [
            [names[i], names[j], count / sum(matrix[i])]
            for count, i, j in sorted(pairs, reverse=True)[:_MOST_CLASSES]
        ],
    )
