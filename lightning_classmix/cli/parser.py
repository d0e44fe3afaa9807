"""Argument parser whose errors name the wrong key and similar names."""

import importlib
import re
import sys
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser

from lightning_classmix.cli.errors import fail, shorten_parser_error


class Parser(LightningArgumentParser):
    """A parser that prints one-line errors."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong in one line, and exit with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        message = re.sub(r"\bfrom_\b", "from", message)
        sys.stderr.write(f"{message}\n")
        line = shorten_parser_error(
            message,
            options=_options(self),
            classes=_class_names(),
            arguments=_arguments,
        )
        fail(line, status=2)

    def format_help(self, *formatter: Any) -> str:
        """Return the help without lists of hundreds of classes."""
        text = super().format_help(*formatter)
        text = text.replace("--from_", "--from")  # a keyword of Python
        return re.sub(r",\s+known\s+subclasses:[^)]{1500,}\)", ")", text)


def _arguments(class_path: str) -> list[str]:
    """Return the argument names of a class."""
    module, _, name = class_path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    return list(ArgumentParser().add_class_arguments(cls, fail_untyped=False))


def _options(parser: ArgumentParser) -> list[str]:
    """Return the options of a parser and of its subcommands, without hyphens."""
    parsers = [parser]
    for action in parser._actions:
        choices = action.choices
        parsers += choices.values() if isinstance(choices, dict) else []
    return [
        option.lstrip("-")
        for subparser in parsers
        for action in subparser._actions
        for option in action.option_strings
    ]


def _class_names() -> set[str]:
    """Return the names of all known callbacks, modules and data modules."""
    classes: list[type] = [Callback, LightningModule, LightningDataModule]
    for cls in classes:  # grows while it is read
        classes += cls.__subclasses__()
    return {cls.__name__ for cls in classes}
