"""Expand command-line arguments: recipe names to settings, checkpoints to settings.

Later arguments win over earlier ones, so the order is: recipes, then the settings of a
checkpoint, then flags.
"""

import re
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from lightning_classmix.cli.checkpoint_settings import checkpoint_settings
from lightning_classmix.cli.errors import DATA_MISSING
from lightning_classmix.cli.recipes import Config, read_config

_TRAINER_KEYS = (
    *("model", "trainer", "seed_everything", "ckpt_path", "weights_only", "verbose"),
    "return_predictions",
)
"""Keys of a recipe of the Trainer commands that the commands on data do not use."""


class Arguments(NamedTuple):
    """Arguments of a command: settings in order of precedence, then flags."""

    configs: list[Config]
    flags: list[str]


def expand_arguments(arguments: Sequence[str], *, resume: bool = False) -> Arguments:
    """Return the settings and flags of a Trainer command.

    ``--ckpt_path last`` becomes the newest such file, and the settings of the
    checkpoint follow those of the recipes.

    Args:
        arguments: The arguments after the subcommand.
        resume: Whether the command resumes from a checkpoint, as fit does.

    Raises:
        FileNotFoundError: If a recipe or ``last.ckpt`` does not exist.
        ValueError: If a recipe or a checkpoint cannot be read.
    """
    configs, flags = _read_configs(arguments)
    settings = _Settings(configs, flags)
    flags = _without_recipe_split(flags, settings)
    checkpoint = settings.value("ckpt_path")
    if checkpoint in ("null", "None"):
        checkpoint = None
    if checkpoint == "last":
        root = Path(settings.value("trainer.default_root_dir") or ".")
        checkpoint = str(newest_last_checkpoint(root))
        flags = [*flags, "--ckpt_path", checkpoint]
    if "://" in str(checkpoint):
        raise ValueError(
            f"ckpt_path must be a file, got the address {checkpoint}; download it first"
        )
    if checkpoint and checkpoint not in ("best", "hpc"):  # keywords of Lightning
        path = Path(str(checkpoint))
        named = {
            part: settings.flag(part) or settings.flag(f"{part}.class_path")
            for part in ("model", "data")
        }
        named["data"] = named["data"] or settings.recipe("data.class_path")
        content = checkpoint_settings(path, **named, resume=resume)
        configs = [*configs, Config(path, content)]
    return Arguments(configs, flags)


def expand_command_arguments(command: str, arguments: Sequence[str]) -> Arguments:
    """Return the settings and flags of a command other than fit and its like.

    ``check``, ``split`` and ``compare`` accept a recipe of fit and use its data.

    Args:
        command: Name of the command.
        arguments: The arguments after the command.

    Raises:
        FileNotFoundError: If a recipe does not exist.
        ValueError: If a recipe cannot be read, or no data module is given.
    """
    configs, flags = _read_configs(arguments)
    if command not in ("check", "split", "compare"):
        return Arguments(configs, flags)
    settings = _Settings(configs, flags)
    flags = _without_recipe_split(flags, settings)
    given = settings.flag("data") or settings.flag("data.class_path")
    asks = any(re.match(r"--(data\.)?help\b|-h$", flag) for flag in flags)
    if not (given or settings.recipe("data") or asks):
        raise ValueError(DATA_MISSING)
    networks = [str(path) for path, content in configs if "model" in content]
    if command == "compare" and networks:
        sys.stderr.write(
            f"classmix compare uses the data of {networks[-1]}, not its model; give"
            " arguments of the model by --shared\n"
        )
    configs = [
        Config(path, {key: content[key] for key in content if key not in _TRAINER_KEYS})
        for path, content in configs
    ]
    switches = {"--json": "--json=true", "--strict": "--strict=true"}
    return Arguments(configs, [switches.get(flag, flag) for flag in flags])


def newest_last_checkpoint(root: Path) -> Path:
    """Return the newest ``last.ckpt`` under a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = list(root.rglob("last.ckpt"))
    if not found:
        raise FileNotFoundError(
            f"ckpt_path 'last' must be under default_root_dir, got no last.ckpt in"
            f" {root.resolve()}"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


class _Settings:
    """Values of recipes and flags by key; flags win, then later recipes."""

    def __init__(self, configs: Sequence[Config], flags: Sequence[str]) -> None:
        self.configs, self.flags = configs, flags

    def flag(self, key: str) -> str | None:
        value = None
        for flag, following in zip_longest(self.flags, self.flags[1:]):
            if flag == f"--{key}":
                value = following
            elif flag.startswith(f"--{key}="):
                value = flag.partition("=")[2]
        return value

    def recipe(self, key: str) -> Any:
        value = None
        for config in self.configs:
            inner: Any = config.content
            for part in key.split("."):
                inner = inner.get(part) if isinstance(inner, dict) else None
            value = value if inner is None else inner
        return value

    def value(self, key: str) -> Any:
        flag = self.flag(key)
        return self.recipe(key) if flag is None else flag


def _without_recipe_split(flags: list[str], settings: _Settings) -> list[str]:
    """Drop the split of a recipe if a flag gives the number of labels.

    The number then refers to all labels, not to the split. A split that orders all
    images is kept.
    """
    split = settings.recipe("data.init_args.split")
    subset = split is not None and str(split).startswith("unimatch/")
    if subset and settings.flag("data.labeled") and not settings.flag("data.split"):
        return [*flags, "--data.split", "null"]
    return flags


def _read_configs(arguments: Sequence[str]) -> tuple[list[Config], list[str]]:
    """Read the config files among the arguments; return them and the flags."""
    configs, flags = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-c", "--config"):
            configs.append(read_config(next(rest, "")))
        elif argument.startswith("--config="):
            configs.append(read_config(argument.partition("=")[2]))
        else:
            flags.append(argument)
    return configs, flags
