"""The command ``classmix compare``: methods × label counts × seeds on one dataset."""

from collections.abc import Sequence
from functools import wraps
from typing import Any

from lightning_classmix.cli.console import is_of_output, print_line
from lightning_classmix.experiments import compare as experiment

_LISTS = ("--labels", "--methods", "--seeds", "--rates")


@wraps(experiment.compare)
def compare(*arguments: Any, **options: Any) -> None:
    """Compare, and print what was written."""
    out = options["out"]
    try:
        experiment.compare(*arguments, **options)
    except OSError as error:
        if error.errno and not error.filename and not is_of_output(error):
            error.filename = str(out)  # of the writer of a log
        raise
    print_line(
        f"Written: results.json, results.csv, report.md, report.html, miou.png in {out}"
    )


def list_arguments(arguments: Sequence[str]) -> list[str]:
    """Put brackets around comma-separated values, as the parser expects lists.

    Args:
        arguments: Arguments of the command.

    Example:
        >>> list_arguments(["--labels", "12,all", "--steps", "100"])
        ['--labels=[12,all]', '--steps', '100']
    """
    listed = []
    rest = iter(arguments)
    for argument in rest:
        option, has_value, value = argument.partition("=")
        if option in _LISTS:
            value = value if has_value else next(rest, "")
            bracketed = value if value.startswith(("[", "{")) else f"[{value}]"
            argument = f"{option}={bracketed}"
        listed.append(argument)
    return listed
