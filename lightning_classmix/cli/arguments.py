"""Expand command-line arguments: recipe names to files, checkpoint settings to config.

Later arguments win over earlier ones, so the order is: recipes, then the settings of a
checkpoint, then flags.
"""

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_classmix.cli.help import RECIPES
from lightning_classmix.ops.ranges import similar


def expand_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a Trainer command, expanded and in order of precedence.

    Recipe names become paths, ``--ckpt_path last`` becomes the newest such file, and
    the settings of the checkpoint are inserted behind the recipes.

    Args:
        arguments: The arguments behind the subcommand.

    Raises:
        FileNotFoundError: If a recipe or ``last.ckpt`` does not exist.
        ValueError: If a recipe or a checkpoint cannot be read.
    """
    configs, flags = _split(arguments)
    paths = [recipe_path(config) for config in configs]
    settings = _Settings([_read(path) for path in paths], flags)
    flags = _without_recipe_split(flags, settings)

    expanded = [part for path in paths for part in ("--config", str(path))]
    checkpoint = settings.value("ckpt_path")
    if checkpoint in ("null", "None"):
        checkpoint = None
    if checkpoint == "last":
        root = Path(settings.value("trainer.default_root_dir") or ".")
        checkpoint = str(newest_last_checkpoint(root))
        flags = [*flags, "--ckpt_path", checkpoint]
    if checkpoint and not _known_to_lightning(checkpoint):
        # As JSON text, between the recipes and the flags.
        config = _checkpoint_config(Path(checkpoint), settings)
        expanded += ["--config", json.dumps(config)]
    return expanded + flags


def expand_data_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a data command, with the data settings of recipes.

    Args:
        arguments: The arguments behind the command.

    Raises:
        FileNotFoundError: If a recipe does not exist.
        ValueError: If a recipe cannot be read, or no data module is given.
    """
    configs, flags = _split(arguments)
    recipes = [_read(recipe_path(config)) for config in configs]
    flags = _without_recipe_split(flags, _Settings(recipes, flags))
    has_data = any(flag == "--data" or flag.startswith("--data=") for flag in flags)
    if not recipes and not has_data and not {"--help", "-h"} & {*flags}:
        raise ValueError(
            "data must be given, by a recipe such as --config folder or by a class such"
            " as --data FolderDataModule, got none"
        )
    data = [json.dumps(recipe["data"]) for recipe in recipes if "data" in recipe]
    switches = {"--json": "--json=true", "--strict": "--strict=true"}
    return [
        *(f"--data={text}" for text in data),
        *(switches.get(flag, flag) for flag in flags),
    ]


def recipe_path(name: str) -> Path:
    """Return a config file: a path as it is, or the packaged recipe of that name.

    Raises:
        FileNotFoundError: If there is neither.
    """
    known = {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}
    if Path(name).is_file():
        return Path(name)
    if name in known:
        return known[name]
    raise FileNotFoundError(
        f"config must be a file or one of {', '.join(known)}, got {name!r}"
        f"{similar(name, known)}"
    )


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

    def __init__(self, recipes: Sequence[dict[str, Any]], flags: Sequence[str]) -> None:
        self.recipes, self.flags = recipes, flags

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
        for content in self.recipes:
            inner: Any = content
            for part in key.split("."):
                inner = inner.get(part) if isinstance(inner, dict) else None
            value = value if inner is None else inner
        return value

    def value(self, key: str) -> Any:
        flag = self.flag(key)
        return self.recipe(key) if flag is None else flag


def _checkpoint_config(checkpoint: Path, settings: _Settings) -> dict[str, Any]:
    """Return the model and data arguments of a checkpoint in the form of a recipe.

    A part is left out if the flags name another class for it, and the data part also if
    the recipe does: a network may be used with other data.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f"ckpt_path must be a file, got {checkpoint}")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"ckpt_path must be a checkpoint of tensors and plain values, got"
            f" {checkpoint}: {reason}"
        ) from error
    paths = content.get("class_paths", {})
    model = dict(content.get("hyper_parameters", {}))
    data = dict(content.get("datamodule_hyper_parameters", {}))
    for key in ("num_classes", "class_names", "palette"):
        if key in data:  # the data module need not read them again
            data[key] = model.get(key)
    for key in ("class_names", "palette", "mean", "std"):
        model.pop(key, None)  # linked from the data

    config = {}
    for part, init in (("model", model), ("data", data)):
        named = settings.flag(part) or settings.flag(f"{part}.class_path")
        if part == "data":
            named = named or settings.recipe("data.class_path")
        same = named is None or _same_class(named, paths.get(part, ""))
        if init and part in paths and same:
            config[part] = {"class_path": paths[part], "init_args": init}
    return config


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


def _known_to_lightning(checkpoint: str) -> bool:
    """Return whether it is a keyword of Lightning or an address, not a path."""
    return checkpoint in ("best", "hpc") or re.match(r"\w+:", checkpoint) is not None


def _same_class(first: str, second: str) -> bool:
    return first.rpartition(".")[2] == second.rpartition(".")[2]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate configs from flags."""
    configs, flags = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-c", "--config"):
            configs.append(next(rest, ""))
        elif argument.startswith("--config="):
            configs.append(argument.partition("=")[2])
        else:
            flags.append(argument)
    return configs, flags


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config must be YAML, got {path}: {reason}") from error
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"config must hold keys and values, got {path}")
    return content or {}
