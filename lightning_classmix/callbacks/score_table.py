"""Print the metrics of a validation or test as a table."""

from collections.abc import Mapping, Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor


class ScoreTable(Callback):
    """Print the metrics of every class and network after a fit, validation or test.

    In percentage points; a class without pixels in truth and prediction shows ``-``.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the scores of the last validation."""
        self._print(trainer, pl_module, "val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the scores, unless the validation is part of a fit."""
        if trainer.state.fn == "validate":
            self._print(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the scores."""
        self._print(trainer, pl_module, "test")

    def _print(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        scores = getattr(module, "scores", {})
        class_names = getattr(module, "class_names", None)
        if trainer.is_global_zero and scores and class_names:
            title = f"IoU in points, {stage}, step {module.scored_step}"
            Console(markup=False).print(score_table(scores, class_names, title=title))


def score_table(
    scores: Mapping[str, Mapping[str, Tensor]],
    class_names: Sequence[str],
    *,
    title: str,
) -> Table:
    """Return a table with a row per class and metric and a column per network.

    Args:
        scores: Metrics by network and by metric, in [0, 1]. ``iou`` has a value per
            class, as may others, which get columns of their own; the scalars follow
            below; matrices are left out.
        class_names: Names of the classes.
        title: Title of the table.
    """
    table = Table(title=title)
    table.add_column("class")
    columns = [
        (network, metric)
        for network, metrics in scores.items()
        for metric in sorted(metrics, key=lambda metric: metric != "iou")
        if metrics[metric].ndim == 1
    ]
    for network, metric in columns:
        head = network if metric == "iou" else f"{network} {metric}"
        table.add_column(_words(head), justify="right")
    for index, name in enumerate(class_names):
        cells = [_points(scores[network][metric][index]) for network, metric in columns]
        table.add_row(Text(name), *cells)
    table.add_section()
    names = [name for metrics in scores.values() for name in metrics]
    for name in sorted(dict.fromkeys(names), key=lambda name: name != "miou"):
        if next(iter(scores.values()))[name].ndim == 0:
            label = "mIoU" if name == "miou" else _words(name)
            cells = [
                _points(scores[network][name]) if metric == "iou" else ""
                for network, metric in columns
            ]
            table.add_row(label, *cells)
    return table


def _words(name: str) -> str:
    """Return a name that a narrow column wraps between its words."""
    return name.replace("_", " ")


def _points(share: Tensor) -> str:
    return "-" if share.isnan() else f"{100 * share.item():.1f}"
