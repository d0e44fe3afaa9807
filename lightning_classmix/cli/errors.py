"""Turn user errors into one-line messages."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.trainer import connectors

from lightning_classmix.cli.console import printable
from lightning_classmix.ops.ranges import similar

_USER_ERROR_SOURCES = (
    Path(__file__).parents[1],
    Path(str(connectors.__file__)).parent,
)
DATA_MISSING = (
    "data must be given, by a recipe such as --config folder or by a class such as"
    " --data FolderDataModule, got none"
)
USER_ERRORS = (
    FloatingPointError,
    MisconfigurationException,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions that may be caused by a user's input."""


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Print an error and exit."""
    sys.stderr.write(f"classmix: error: {printable(message)}\n")
    sys.exit(status)


def show_traceback() -> bool:
    """Return whether ``CLASSMIX_TRACEBACK=1`` asks for the traceback of errors."""
    return os.environ.get("CLASSMIX_TRACEBACK") == "1"


def user_error_message(error: BaseException | None) -> str | None:
    """Return the message of an error that a user caused; None for other errors.

    User errors are raised in this package, or where Lightning reads the Trainer's
    arguments; an exception raised elsewhere may have one as its cause. An exception
    from a worker process of a loader holds its traceback as text.
    """
    if isinstance(error, RuntimeError) and "in loading state_dict" in str(error):
        first = " ".join(str(error).split())[:300]
        return (
            f"ckpt_path must fit the networks, got {first} …; give the model, encoder"
            " or network that it was trained with"
        )
    while error is not None:
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        files += re.findall(r'File "(.+?)", line', str(error))
        folder = Path(files[-1]).parent if files else Path()
        if isinstance(error, MisconfigurationException) or any(
            folder.is_relative_to(source) for source in _USER_ERROR_SOURCES
        ):
            worker = r"(?s)^Caught \w+ in DataLoader.*\n\w+: "
            return re.sub(worker, "", str(error)).strip()
        error = error.__cause__ or error.__context__
    return None


def refuse_state(error: BaseException, path: object) -> None:
    """Raise a ValueError if the state of a training in a checkpoint caused an error.

    Errors of the networks' weights and ValueErrors of this package are left as they
    are: they have their own messages.

    Args:
        error: Error of the Trainer.
        path: Path of the checkpoint, for the error message.
    """
    if isinstance(error, ValueError) and user_error_message(error) is not None:
        return
    if "in loading state_dict" not in str(error) and any(
        frame.filename == connectors.checkpoint_connector.__file__
        and frame.name.startswith("restore_")
        for frame in traceback.extract_tb(error.__traceback__)
    ):
        raise ValueError(
            f"ckpt_path must hold the state of such a training, got {path}, which"
            f" cannot be restored: {type(error).__name__} {error}; to start a new"
            " training from its weights, give it as model.student_weights"
        ) from error


def shorten_parser_error(
    message: str,
    *,
    options: Iterable[str],
    classes: Iterable[str],
    arguments: Callable[[str], Iterable[str]],
) -> str:
    """Return one line that names the wrong key of a parser error, and similar names.

    Args:
        message: Error message of jsonargparse.
        options: Options of the parser, without hyphens.
        classes: Names of the classes that a config may name.
        arguments: Function from the import path of a class to its argument names.
    """
    key = ".".join(re.findall(r'Parser key "([\w.]+)"', message))
    return (
        _unknown_argument(message, key, options, arguments)
        or _missing_argument(message, key)
        or _wrong_name(message, key)
        or _unknown_class(message, key, classes)
        or _wrong_value(message, key)
        or " ".join(message.split())
    )


def _unknown_argument(
    message: str,
    key: str,
    options: Iterable[str],
    arguments: Callable[[str], Iterable[str]],
) -> str | None:
    """Describe an argument that the command or a class does not have."""
    found = re.search(
        r"(?:unrecognized arguments: (?:--)?|accept option '|Option ')([^\s'=]+)",
        message,
    )
    if not found:
        return None
    name = found[1]
    owners = re.findall(r"Problem with given class_path '([^']+)'", message)
    # Where a list of callbacks is expected, the base class is tried last.
    owners = [name for name in owners if _last(name) != "Callback"]
    if owners and _last(owners[-1]) == "LightningDataModule":
        return DATA_MISSING
    names = [*arguments(owners[-1])] if owners else [*options]
    names += ["init_args"] if owners and name.startswith("init") else []
    owner = f" of {_last(owners[-1])}" if owners else ""
    return f"{_join(key, name)} is not an argument{owner}{similar(name, names)}"


def _missing_argument(message: str, key: str) -> str | None:
    """Describe a required argument or a value that was not given."""
    found = re.search(r"arguments are required: (.+)", message)
    if found:
        names = [name.rpartition(".")[2] for name in found[1].split(", ")]
        return f"{', '.join(_join(key, name) for name in names)} must be given"
    found = re.search(r"argument (?:-\w/)?--([\w.]+): expected one argument", message)
    return f"{found[1]} must have a value, got none" if found else None


def _wrong_name(message: str, key: str) -> str | None:
    """Describe a wrong name where a name or a function is expected."""
    given = re.search(r"Given value: (\S+)$", message, flags=re.MULTILINE)
    if "typing.Literal[" not in message or "Callable[" not in message or not given:
        return None
    names = _literals(message)
    allowed = ", ".join(names)
    return f"{key} must be one of {allowed}, got {given[1]}{similar(given[1], names)}"


def _literals(message: str) -> list[str]:
    """Return the names that the literal types of a message allow."""
    found = re.findall(r"Literal\[([^\]]*)\]", message)
    return [*dict.fromkeys(re.findall(r"'([^']+)'", " ".join(found)))]


def _unknown_class(message: str, key: str, classes: Iterable[str]) -> str | None:
    """Describe a class path that names no known class, or one of another kind."""
    for pair in re.findall(r"class_path': '([^']+)|import path string: (\S+)", message):
        name = "".join(pair)
        if _last(name) not in classes:
            return f"{key} must name a class, got {name}{similar(name, classes)}"
    lost = re.search(r"Expected a path but (\S+) either not accessible", message)
    if lost:
        return f"{key} must name a class or function to import, got {lost[1]}"
    found = re.search(r"import path string: (\S+)$", message)
    if not found:
        return None
    return (
        f"{key} must name a class that this command accepts, got {found[1]}; see --help"
    )


def _wrong_value(message: str, key: str) -> str | None:
    """Describe a value of the wrong type or range."""
    found = re.search(r"Unable to load config (.+)", message)
    if found:
        return f"{key.split('.')[0]} must hold keys and values, got {found[1]}"
    found = re.search(r"Got value: (.+)|Given value: (.+)", message)
    if not found:
        return None
    value = "".join(filter(None, found.groups()))
    nested = re.fullmatch(r"NestedArg\(key='(.+)', val='(.*)'\)", value)
    if nested:
        key = _join(key, nested[1])
        value = nested[2]
    names = _literals(message)
    types = re.findall(r"(?m)Expected an? (.+?)(?:\. Got|$)", message)
    kinds = " or ".join(dict.fromkeys(map(_readable_type, types)))
    if kinds == "null" or value.startswith("{'class_path'"):
        kinds = "a class_path, the name of a class, with init_args, its arguments"
    return f"{key} must be {kinds}, got {value}{similar(value, names)}"


def _readable_type(text: str) -> str:
    """Return a type, as the parser names it, in words."""
    names = _literals(text)
    if names:
        return f"one of {', '.join(names)}"
    abstract = re.fullmatch(r"instantiatable class, but (\S+) is abstract", text)
    if abstract:
        return f"a subclass of {_last(abstract[1])}"
    text = re.sub(r"<class '|'>|typing\.|collections\.abc\.", "", text)
    text = re.sub(r"Literal\[(.*)\]", r"one of \1", text)
    text = re.sub(r"^(tuple|Sequence|list|Iterable)\b", "a list", text)
    return text.replace("NoneType", "null").replace("elements", "values")


def _last(class_path: str) -> str:
    return class_path.rpartition(".")[2]


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
