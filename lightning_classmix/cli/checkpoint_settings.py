"""Settings of a run from its checkpoint; nothing that a checkpoint names is run."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lightning.pytorch import LightningDataModule, LightningModule

from lightning_classmix.checkpoints import imported_subclass, read_checkpoint


def checkpoint_settings(
    path: Path,
    *,
    model: str | None = None,
    data: str | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Return the model and data arguments of a checkpoint in the form of a recipe.

    A part is left out if the user names another class for it. A class that only the
    checkpoint names must have been imported already, as those of this package are.

    Args:
        path: Checkpoint of fit.
        model: Class of the module that the user names, if any.
        data: Class of the data module that the user names, if any.
        resume: Whether fit resumes from the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this package, holds no state to
            resume from, or names code to run.
    """
    content = read_checkpoint(path, "ckpt_path")
    if resume:
        _check_resumable(content, path)
    paths = content["class_paths"]
    arguments = {
        "model": dict(content.get("hyper_parameters", {})),
        "data": dict(content.get("datamodule_hyper_parameters", {})),
    }
    for key in ("num_classes", "class_names", "palette"):
        if key in arguments["data"]:  # the data module need not read them again
            arguments["data"][key] = arguments["model"].get(key)
    for key in ("class_names", "palette", "mean", "std"):
        arguments["model"].pop(key, None)  # linked from the data

    settings = {}
    bases = {"model": LightningModule, "data": LightningDataModule}
    for part, named in (("model", model), ("data", data)):
        if not arguments[part] or part not in paths:
            continue
        if named is not None and _last(named) != _last(str(paths[part])):
            continue
        cls: type | None = imported_subclass(bases[part], str(paths[part]))
        if named is None and cls is None:
            raise ValueError(
                f"ckpt_path must be of a class of lightning_classmix, got {path} of"
                f" {paths[part]}; name the class by --{part}"
            )
        for key, value in arguments[part].items():
            _check_plain(f"{part}.{key}", value, path)
        if cls is not None:
            _check_functions(part, arguments[part], cls, path)
        settings[part] = {
            "class_path": paths[part] if named is None else named,
            "init_args": _lists(arguments[part]),
        }
    return settings


def _check_resumable(content: dict[str, Any], path: Path) -> None:
    """Check that a checkpoint holds the state of a training, not its weights alone.

    Raises:
        ValueError: If a part of the state is missing, or empty where it never is.
    """
    kinds = {dict: ("loops", "callbacks"), list: ("optimizer_states", "lr_schedulers")}
    filled = ("loops", "optimizer_states")
    missing = [
        name
        for kind, names in kinds.items()
        for name in names
        if not isinstance(content.get(name), kind)
        or (name in filled and not content[name])
    ]
    if missing:
        raise ValueError(
            f"ckpt_path must hold the state of a training to resume fit, got {path}"
            f" without {', '.join(missing)}; to start a new training from its weights,"
            " give it as model.student_weights"
        )


def _lists(value: Any) -> Any:
    """Return a value with lists for tuples, as a recipe holds it."""
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return (
        [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value
    )


def _last(class_path: str) -> str:
    return class_path.rpartition(".")[2]


def _check_plain(key: str, value: Any, path: Path) -> None:
    """Raise a ValueError if the parser would create an object for a value."""
    if isinstance(value, dict):
        if "class_path" in value:
            raise ValueError(
                f"ckpt_path must hold plain values, got the class"
                f" {value['class_path']!r} as {key} in {path}"
            )
        for inner in value.values():
            _check_plain(key, inner, path)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_plain(key, inner, path)


def _check_functions(
    part: str, arguments: dict[str, Any], cls: type, path: Path
) -> None:
    """Raise a ValueError if a value is the import path of a function or class."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base):
            hints |= get_type_hints(base.__init__)  # type: ignore[misc]
    for key, value in arguments.items():
        dotted = isinstance(value, str) and "." in value
        if dotted and any(_is_code(kind) for kind in _kinds(hints.get(key))):
            raise ValueError(
                f"ckpt_path must hold plain values, got the import path {value!r} as"
                f" {part}.{key} in {path}"
            )


def _kinds(hint: Any) -> Iterator[Any]:
    """Yield the members of a union."""
    if get_origin(hint) in (Union, UnionType):
        for inner in get_args(hint):
            yield from _kinds(inner)
    else:
        yield hint


def _is_code(kind: Any) -> bool:
    """Return whether the parser imports a string of this type by its path."""
    if get_origin(kind) is Callable:
        return True
    return inspect.isclass(kind) and kind.__module__ not in ("builtins", "pathlib")
