"""Print lines that a terminal may wrap and a program can read."""

import os
import select
import sys


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


def escape_unencodable() -> None:
    """Print escapes for characters that the encoding of the terminal does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed
