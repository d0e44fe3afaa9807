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

from lightning_classmix.ops.ranges import similar

_USER_ERROR_SOURCES = (
    Path(__file__).parents[1],
    Path(str(connectors.__file__)).parent,
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
    sys.stderr.write(f"classmix: error: {message}\n")
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
        r"(?:unrecognized arguments: --|accept option '|Option ')([\w.+]+)", message
    )
    if not found:
        return None
    name = found[1]
    owners = re.findall(r"Problem with given class_path '([^']+)'", message)
    # Where a list of callbacks is expected, the base class is tried last.
    owners = [name for name in owners if _last(name) != "Callback"]
    names = [*arguments(owners[-1])] if owners else [*options]
    names += ["init_args"] if owners and name.startswith("init") else []
    owner = f" of {_last(owners[-1])}" if owners else ""
    return f"{_join(key, name)} is not an argument{owner}{similar(name, names)}"


def _missing_argument(message: str, key: str) -> str | None:
    """Describe a required argument or a value that was not given."""
    found = re.search(r"arguments are required: (?:\w+\.)?(.+)", message)
    if found:
        return f"{_join(key, found[1])} must be given"
    found = re.search(r"argument (?:-\w/)?--([\w.]+): expected one argument", message)
    return f"{found[1]} must have a value, got none" if found else None


def _wrong_name(message: str, key: str) -> str | None:
    """Describe a wrong name where a name or a function is expected."""
    given = re.search(r"Given value: ([\w-]+)$", message, flags=re.MULTILINE)
    if "typing.Literal[" not in message or "Callable[" not in message or not given:
        return None
    names = re.findall(r"'([\w-]+)'", message[message.find("Literal[") :])
    allowed = ", ".join(dict.fromkeys(names))
    return f"{key} must be one of {allowed}, got {given[1]}{similar(given[1], names)}"


def _unknown_class(message: str, key: str, classes: Iterable[str]) -> str | None:
    """Describe a class path that names no known class, or one of another kind."""
    for pair in re.findall(r"class_path': '([^']+)|import path string: (\S+)", message):
        name = "".join(pair)
        if _last(name) not in classes:
            return f"{key} must name a class, got {name}{similar(name, classes)}"
    found = re.search(r"import path string: (\S+)$", message)
    if not found:
        return None
    return (
        f"{key} must name a class that this command accepts, got {found[1]}; see --help"
    )


def _wrong_value(message: str, key: str) -> str | None:
    """Describe a value of the wrong type or range."""
    found = re.search(r"Got value: (.+)|Given value: (.+)", message)
    if not found:
        return None
    value = "".join(filter(None, found.groups()))
    nested = re.fullmatch(r"NestedArg\(key='(.+)', val='(.*)'\)", value)
    if nested:
        key = _join(key, nested[1])
        value = nested[2]
    names = re.findall(r"'([\w-]+)'", message[message.find("[") :])
    types = [
        re.sub(r"typing\.Literal|<class '|'>", "", name).replace("NoneType", "null")
        for name in re.findall(r"(?m)Expected an? (.+?)(?:\. Got|$)", message)
    ]
    abstract = r"instantiatable class, but (\S+) is abstract"
    kinds = dict.fromkeys(
        re.sub(abstract, lambda cls: f"a subclass of {_last(cls[1])}", kind)
        for kind in types
    )
    return f"{key} must be {' or '.join(kinds)}, got {value}{similar(value, names)}"


def _last(class_path: str) -> str:
    return class_path.rpartition(".")[2]


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
