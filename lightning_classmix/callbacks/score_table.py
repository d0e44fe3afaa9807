"""A table of the scores, in the terminal."""

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from lightning_classmix.metrics import Scores


class ScoreTable(Callback):
    """Print the IoU of every class and network at the end of a fit or a validation.

    In points; a class that occurs neither in truth nor in prediction has none.
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
        names = getattr(module, "class_names", None)
        if trainer.is_global_zero and scores and names:
            title = f"IoU in points, {stage}, step {module.scored_step}"
            Console(markup=False).print(score_table(scores, names, title=title))


def score_table(
    scores: dict[str, Scores], class_names: list[str], *, title: str
) -> Table:
    """Lay scores out: a row for each class, a column for each network.

    Args:
        scores: Scores by the names of the networks.
        class_names: Names of the classes.
        title: What stands above.
    """
    table = Table(title=title)
    table.add_column("class")
    for name in scores:
        table.add_column(name, justify="right")
    for index, label in enumerate(class_names):
        table.add_row(
            Text(label), *(_points(one.iou[index]) for one in scores.values())
        )
    table.add_section()
    table.add_row("mIoU", *(_points(one.miou) for one in scores.values()))
    table.add_row("accuracy", *(_points(one.accuracy) for one in scores.values()))
    return table


def _points(share: Tensor) -> str:
    return "-" if share.isnan() else f"{100 * share.item():.1f}"
