"""Exit statuses and messages of commands that a signal stops."""

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_classmix.callbacks.signals import Stopped
from lightning_classmix.cli.console import print_line


@contextmanager
def stop_messages(arguments: Sequence[str]) -> Iterator[None]:
    """Exit with 128 + signal if a signal stops the command; print how to continue.

    Args:
        arguments: Arguments of ``classmix``, the command first.
    """
    try:
        yield
    except Stopped as stop:
        if getattr(rank_zero_only, "rank", 0) == 0:
            print_line(str(stop))
            print_line(f"continue with: {continuation(arguments, stop.path)}")
        raise
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)


def continuation(arguments: Sequence[str], checkpoint: str | Path | None) -> str:
    """Return the command line that continues a stopped command.

    Args:
        arguments: Arguments of ``classmix``, the command first.
        checkpoint: Checkpoint from which ``fit`` is resumed; None starts it again.

    Example:
        >>> continuation(["fit", "--config", "folder", "--ckpt_path", "a"], "b.ckpt")
        'classmix fit --config folder --ckpt_path b.ckpt'
        >>> continuation(["demo", "--out", "my demo"], "my demo/last.ckpt")
        "classmix demo --out 'my demo'"
    """
    if arguments[0] != "fit" or checkpoint is None:
        return shlex.join(["classmix", *arguments])
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--ckpt_path":
            next(rest, None)
        elif not argument.startswith("--ckpt_path="):
            kept.append(argument)
    return shlex.join(["classmix", *kept, "--ckpt_path", str(checkpoint)])
