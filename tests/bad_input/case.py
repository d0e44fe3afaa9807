"""One bad input: a command line, what is made for it, and the expected message."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FIT = "fit --config recipe.yaml --data.root data"
CHECK = "check --data FolderDataModule --data.root data"


class Case(NamedTuple):
    """A row of the table."""

    name: str
    command: str
    """Arguments of ``classmix``, run in a folder with ``recipe.yaml`` and ``data``."""

    message: str
    """Regular expression for the one line that is printed."""

    make: Callable[[Path], object] | None = None
    """Writes further files into the folder; it is then a fresh copy."""


def fit_cases(*rows: tuple[str, str]) -> list[Case]:
    """Return cases of ``fit`` with flags, each a pair of flags and message."""
    return [Case(f"fit {flag}", f"{FIT} {flag}", message) for flag, message in rows]
