"""The figure of a comparison: mIoU over the number of labeled images."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lightning_classmix.atomic import atomic_file
from lightning_classmix.experiments.compare_results import Summary


def save_figure(path: Path, summaries: Mapping[str, Mapping[int, Summary]]) -> None:
    """Save one line for each method, with the standard deviation as error bars.

    Args:
        path: PNG file to write.
        summaries: Summary by method and number of labeled images.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for method, by_labels in summaries.items():
        axes.errorbar(
            list(by_labels),
            [summary.mean for summary in by_labels.values()],
            yerr=[summary.std or 0.0 for summary in by_labels.values()],
            marker="o",
            capsize=3,
            label=method,
        )
    counts = sorted(
        {labels for by_labels in summaries.values() for labels in by_labels}
    )
    axes.set_xscale("log")
    axes.set_xticks(counts, labels=[str(labels) for labels in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("labeled images")
    axes.set_ylabel("mIoU in points")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
