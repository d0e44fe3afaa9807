"""Print lines that a terminal may wrap and a program can read."""

from rich.console import Console


def print_line(line: str) -> None:
    """Print a line as it is: no markup, no colors, no line breaks."""
    Console(soft_wrap=True, markup=False, highlight=False).print(line)
