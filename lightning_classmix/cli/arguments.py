"""What a command line says before it is parsed: recipes, and what a checkpoint adds.

Later arguments win over earlier ones, so the parts are put in order: the recipes, then
what the checkpoint was trained with, then the flags.
"""

import json
import re
from collections.abc import Sequence
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_classmix.cli.errors import near

RECIPES = Path(str(resources.files("lightning_classmix") / "recipes"))


def complete(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a subcommand in order, with all that they stand for.

    Recipes are given as paths, ``--ckpt_path last`` as the newest such file, and the
    arguments that a checkpoint was trained with stand behind the recipes.

    Args:
        arguments: What follows the subcommand.

    Raises:
        FileNotFoundError: If there is no such recipe, or no ``last.ckpt``.
        ValueError: If a recipe or a checkpoint cannot be read.
    """
    configs, flags = _split(arguments)
    paths = [recipe(config) for config in configs]
    told = _Told([_read(path) for path in paths], flags)
    flags = _without_subset(flags, told)

    out = [part for path in paths for part in ("--config", str(path))]
    checkpoint = told.value("ckpt_path")
    if checkpoint in ("null", "None"):
        checkpoint = None
    if checkpoint == "last":
        root = Path(told.value("trainer.default_root_dir") or ".")
        checkpoint = str(newest_last(root))
        flags = [*flags, "--ckpt_path", checkpoint]
    if checkpoint and not _known_to_lightning(checkpoint):
        out += ["--config", json.dumps(_trained_with(Path(checkpoint), told))]
    return out + flags


def data_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command on data, with what recipes say of the data.

    Args:
        arguments: What follows the command.

    Raises:
        FileNotFoundError: If there is no such recipe.
        ValueError: If a recipe cannot be read.
    """
    configs, flags = _split(arguments)
    read = [_read(recipe(config)) for config in configs]
    flags = _without_subset(flags, _Told(read, flags))
    named = any(flag == "--data" or flag.startswith("--data=") for flag in flags)
    if not read and not named and not {"--help", "-h"} & {*flags}:
        raise ValueError(
            "data must be given, by a recipe such as --config folder or by a class such"
            " as --data FolderDataModule, got none"
        )
    told = [json.dumps(content["data"]) for content in read if "data" in content]
    bare = {"--json": "--json=true", "--strict": "--strict=true"}
    return [
        *(f"--data={one}" for one in told),
        *(bare.get(flag, flag) for flag in flags),
    ]


def recipe(name: str) -> Path:
    """Return the file that ``name`` is the path of, or the packaged recipe.

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
        f"{near(name, known)}"
    )


def newest_last(root: Path) -> Path:
    """Return the ``last.ckpt`` under a folder that was written last.

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


class _Told:
    """What recipes and flags say of a key; flags win, then later recipes."""

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


def _trained_with(checkpoint: Path, told: _Told) -> dict[str, Any]:
    """Return the model and data arguments of a checkpoint, as a recipe would.

    Those of another class than the flags name are left out, and of the data also
    those of another class than the recipe names: a network may meet other data.
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
        if key in data:  # a data module that reads them need not do so again
            data[key] = model.get(key)
    for key in ("class_names", "palette", "mean", "std"):
        model.pop(key, None)  # the data tell these

    config = {}
    for part, init in (("model", model), ("data", data)):
        named = told.flag(part) or told.flag(f"{part}.class_path")
        if part == "data":
            named = named or told.recipe("data.class_path")
        same = named is None or _same_class(named, paths.get(part, ""))
        if init and part in paths and same:
            config[part] = {"class_path": paths[part], "init_args": init}
    return config


def _without_subset(flags: list[str], told: _Told) -> list[str]:
    """Leave out a recipe's split if flags say how many labels there are.

    A share of all labels is meant then, and not one of the split; but of an order of
    all images it is the same.
    """
    split = told.recipe("data.init_args.split")
    subset = split is not None and str(split).startswith("unimatch/")
    if subset and told.flag("data.labeled") and not told.flag("data.split"):
        return [*flags, "--data.split", "null"]
    return flags


def _known_to_lightning(checkpoint: str) -> bool:
    """Tell a word that Lightning knows, or an address, from a path."""
    return checkpoint in ("best", "hpc") or re.match(r"\w+:", checkpoint) is not None


def _same_class(one: str, other: str) -> bool:
    return one.rpartition(".")[2] == other.rpartition(".")[2]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell recipes from flags."""
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
