"""Mistakes of a user, told in one line."""

import re
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.trainer import connectors

_TELLING = (Path(__file__).parents[1], Path(str(connectors.__file__)).parent)
MISTAKES = (
    FloatingPointError,
    MisconfigurationException,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors that may tell of a user's mistake."""


def mistake_of(error: BaseException | None) -> str | None:
    """Return what an error says of a user's mistake: itself, or its reason.

    Such errors are raised on purpose, by this package or by what reads the Trainer's
    arguments. An error whose innermost line is elsewhere is a fault in code, and says
    nothing. One from a loader's worker carries its traceback as text.
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
        raised = Path(files[-1]).parent if files else Path()
        if isinstance(error, MisconfigurationException) or any(
            raised.is_relative_to(place) for place in _TELLING
        ):
            worker = r"(?s)^Caught \w+ in DataLoader.*\n\w+: "
            return re.sub(worker, "", str(error)).strip()
        error = error.__cause__ or error.__context__
    return None


def advice(
    message: str,
    *,
    options: Iterable[str],
    classes: Iterable[str],
    arguments: Callable[[str], Iterable[str]],
) -> str:
    """Say in one line which key of a parser's message is wrong, and what is near it.

    Args:
        message: What jsonargparse says.
        options: Options of the parser, without their hyphens.
        classes: Names of the classes that may be named.
        arguments: Path of a class to the names of its arguments.
    """
    key = ".".join(re.findall(r'Parser key "([\w.]+)"', message))
    made = re.findall(r"Problem with given class_path '([^']+)'", message)
    owner = f" of {made[-1].rpartition('.')[2]}" if made else ""

    unknown = re.search(
        r"(?:unrecognized arguments: --|accept option '|Option ')([\w.+]+)", message
    )
    if unknown:
        names = [*arguments(made[-1]), "init_args"] if made else options
        name = unknown[1]
        return f"{_join(key, name)} is not an argument{owner}{near(name, names)}"
    missing = re.search(r"arguments are required: (?:\w+\.)?(.+)", message)
    if missing:
        return f"{_join(key, missing[1])} must be given"
    for name in re.findall(r"class_path': '([^']+)|import path string: (\S+)", message):
        wrong = "".join(name)
        if wrong.rpartition(".")[2] not in classes:
            return f"{key} must name a class, got {wrong}{near(wrong, classes)}"
    choice = re.search(r"Got value: (.+)|Given value: (.+)", message)
    if choice:
        wrong = "".join(filter(None, choice.groups()))
        names = re.findall(r"'([\w-]+)'", message[message.find("[") :])
        kinds = re.findall(r"(?m)Expected an? (.+?)(?:\. Got|$)", message)
        told = [
            re.sub(r"typing\.Literal|<class '|'>", "", kind).replace("NoneType", "null")
            for kind in kinds
        ]
        return f"{key} must be {' or '.join(told)}, got {wrong}{near(wrong, names)}"
    return " ".join(message.split())


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of an error: the names that ``name`` may be meant for, if any."""
    found = get_close_matches(name, sorted({*names} - {name}), cutoff=0.5)
    return f"; did you mean {', '.join(found)}?" if found else ""
