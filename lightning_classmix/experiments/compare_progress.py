"""Show the progress of a comparison as a table in the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from lightning_classmix.experiments.compare_run import Run


class Progress:
    """A table of the runs: a row for each method, a column for each labels and seed.

    A cell shows the share of the finished steps in percent, then the mIoU in points.

    Args:
        trials: Trials of learning rates, by method.
        runs: Runs, by method; the same label counts and seeds for each.
        console: Console for a line per finished run, if it is no terminal.
    """

    def __init__(
        self,
        trials: Mapping[str, Sequence[Run]],
        runs: Mapping[str, Sequence[Run]],
        console: Console,
    ) -> None:
        self.trials = trials
        self.runs = runs
        self.console = console
        self.cells: dict[str, str] = {}
        """Text of the cells, by the description of the run."""
        self.finished: set[str] = set()
        """Descriptions of the runs that have a result."""

    def update(self, run: Run, step: int | None) -> None:
        """Note the number of finished steps of a run, or with None its result."""
        if step is not None:
            self.cells[str(run)] = f"{100 * step // run.steps} %"
            return
        miou = (run.result() or {}).get("miou")
        self.cells[str(run)] = "diverged" if miou is None else f"{100 * miou:.1f}"
        self.finished.add(str(run))
        if not self.console.is_terminal:
            self.console.print(f"{run}: {self.cells[str(run)]}")

    def table(self) -> Table:
        """Return the table as it is now."""
        count = sum(len(planned) for planned in self.runs.values())
        count += sum(len(planned) for planned in self.trials.values())
        table = Table(
            title="mIoU in points; rates on held-out images, others on validation",
            caption=f"{len(self.finished)} of {count} runs finished",
        )
        table.add_column("method")
        table.add_column("rates", justify="right")
        for run in next(iter(self.runs.values())):
            table.add_column(f"{run.labels}\nseed {run.seed}", justify="right")
        for name, planned in self.runs.items():
            tried = [self.cells.get(str(run), "…") for run in self.trials[name]]
            cells = [self.cells.get(str(run), "…") for run in planned]
            table.add_row(name, " ".join(tried) or "given", *cells)
        return table
