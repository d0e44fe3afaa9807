"""Print lines that a terminal may wrap and a program can read."""

import os
import select
import sys
import traceback
from pathlib import Path


def print_line(line: str) -> None:
    """Print a line as it is: no markup, no colors, no line breaks."""
    from rich.console import Console  # not needed for help

    Console(soft_wrap=True, markup=False, highlight=False).print(printable(line))


def printable(text: str) -> str:
    r"""Return a text with escapes for the characters that control a terminal.

    Example:
        >>> print(printable("a\x1b[31mb"))
        a\x1b[31mb
    """
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def prepare_output() -> None:
    """Print escapes for characters that the encoding of the terminal does not have.

    What is printed to an output that was closed before the start is dropped.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def write_output(text: str) -> None:
    """Print a text and all that was printed before; exit if that is not possible.

    Raises:
        BrokenPipeError: If the reader of the output has ended.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        sys.stderr.write(
            f"classmix: error: the output cannot be written: {error.strerror}\n"
        )
        sys.exit(1)


def is_of_output(error: OSError) -> bool:
    """Return whether an error occurred while something was printed."""
    return any(
        "rich" in Path(frame.filename).parts or "sys.stdout" in (frame.line or "")
        for frame in traceback.extract_tb(error.__traceback__)
    )


def output_is_closed() -> bool:
    """Return whether the reader of the output has ended; what is printed is then lost.

    Later output is dropped, also that which Python flushes at its end.
    """
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    closed = any(event & select.POLLERR for _, event in poll.poll(0))
    if closed:
        _drop_output()
    return closed


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
