"""The command ``classmix report``: write a run as one HTML page."""

from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from lightning_classmix.cli.console import print_line
from lightning_classmix.experiments import report as experiment


@wraps(experiment.report)
def report(*arguments: Any, **options: Any) -> None:
    """Write the page, and print its path."""
    path: Path = experiment.report(*arguments, **options)
    print_line(f"report: {path}")


def run_argument(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the command with its folder as the option ``--run``.

    Example:
        >>> run_argument(["lightning_logs/version_0", "--out", "a.html"])
        ['--run=lightning_logs/version_0', '--out', 'a.html']
    """
    if arguments and not arguments[0].startswith("-"):
        return [f"--run={arguments[0]}", *arguments[1:]]
    return list(arguments)
