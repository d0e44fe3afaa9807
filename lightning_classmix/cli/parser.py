"""Argument parser whose errors name the wrong key and similar names."""

import importlib
import re
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, dict_to_namespace
from jsonargparse._common import parser_context
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger

from lightning_classmix.cli.errors import fail, shorten_parser_error, show_traceback
from lightning_classmix.cli.recipes import Config


class Parser(LightningArgumentParser):
    """A parser that prints one-line errors."""

    _source: Path | None = None
    """File of the settings that are being parsed."""

    _configs: Sequence[Config] = ()
    """Settings that are parsed before the flags."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "prog": "classmix", **kwargs})

    def parse_command(
        self, command: str, configs: Sequence[Config], flags: Sequence[str]
    ) -> Any:
        """Parse the settings of files, and the flags, which win over them.

        Args:
            command: Name of the subcommand.
            configs: Settings of recipes and of a checkpoint; later ones win.
            flags: arguments after the subcommand.

        Returns:
            The arguments of the subcommand, under its name.
        """
        commands: Any = self._subcommands_action
        parser: Parser = commands.choices[command]
        self._configs = configs
        settings = dict_to_namespace({})
        for config in configs:
            parser._source = config.path
            # Files that a recipe names are relative to its folder. Without the context,
            # groups of arguments get a form that later settings cannot be merged with.
            with chdir(config.path.parent), parser_context(lenient_check=True):
                settings = parser.parse_object(
                    config.content, settings, defaults=False, _skip_validation=True
                )
        parser._source = None
        return self.parse_args(
            [command, *flags], dict_to_namespace({command: settings})
        )

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong in one line, and exit with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        message = re.sub(r"\bfrom_\b", "from", message)
        if show_traceback():
            raise ex or ValueError(message)
        line = shorten_parser_error(
            message,
            options=_options(self),
            classes=_class_names(),
            arguments=_arguments,
        )
        key = line.partition(" ")[0]
        holders = [config.path for config in self._configs if config.holds(key)]
        source = self._source or next(reversed(holders), None)
        fail(f"{source}: {line}" if source else line, status=2)

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
    """Return the names of all known callbacks, modules, data modules and loggers."""
    classes: list[type] = [Callback, LightningModule, LightningDataModule, Logger]
    for cls in classes:  # grows while it is read
        classes += cls.__subclasses__()
    return {cls.__name__ for cls in classes}
