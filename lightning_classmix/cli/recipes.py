"""Find and read config files: YAML files of the user and the packaged recipes."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import get_loader

from lightning_classmix.cli.help import RECIPES
from lightning_classmix.datasets.yaml_keys import repeated_key
from lightning_classmix.ops.ranges import similar

_EventLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 1_000_000
_MAX_VALUES = 100_000
_MAX_DEPTH = 50


class Config(NamedTuple):
    """Settings of a command, as nested plain values, and the file they come from."""

    path: Path
    content: dict[str, Any]

    def holds(self, key: str) -> bool:
        """Return whether there is a setting of a name such as ``model.lr``."""
        inner: Any = self.content
        for part in key.split("."):
            if isinstance(inner, dict) and part not in inner:
                inner = inner.get("init_args")
            if not isinstance(inner, dict) or part not in inner:
                return False
            inner = inner[part]
        return True


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


def read_config(name: str) -> Config:
    """Read a config file of keys and values.

    Args:
        name: Path of a YAML file, or name of a packaged recipe.

    Raises:
        FileNotFoundError: If there is no such file or recipe.
        ValueError: If it is not a YAML file of keys and values, it is empty, or it is
            too large or too deeply nested to be a config.
    """
    path = recipe_path(name)
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"config must be smaller than 1 MB, got {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"config must be text in UTF-8, got {path}: byte {error.start} is not"
        ) from error
    try:
        _check_nesting(text, path)
        content = get_loader("yaml")(text)
        twice = repeated_key(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config must be YAML, got {path}: {reason}") from error
    if content is None:
        raise ValueError(f"config must hold keys and values, got {path}, an empty file")
    if not isinstance(content, dict) or not all(
        isinstance(key, str) for key in content
    ):
        raise ValueError(f"config must hold keys and values, got {path}")
    _check_size(content, path)
    if twice is not None:
        raise ValueError(f"config must hold a key once, got {twice} twice in {path}")
    return Config(path, content)


def _check_nesting(text: str, path: Path) -> None:
    """Raise a ValueError if a YAML text is nested so deep that a loader would fail."""
    depth = 0
    for event in yaml.parse(text, Loader=_EventLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise ValueError(
                f"config must be nested at most {_MAX_DEPTH} levels deep, got {path}"
            )


def _check_size(content: dict[str, Any], path: Path) -> None:
    """Raise a ValueError if aliases repeat values until they fill the memory."""
    values: list[Any] = [content]
    count = 0
    while values:
        value = values.pop()
        count += 1
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        if count + len(values) > _MAX_VALUES:
            raise ValueError(
                f"config must hold at most {_MAX_VALUES} values, got more in {path},"
                " whose aliases repeat values"
            )
