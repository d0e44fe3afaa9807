"""Turn faults of the machine into one-line messages: disks, workers, devices."""

import errno
import os
import re
import threading
from collections.abc import Iterator

from lightning_classmix.cli.console import is_of_output

_OTHER_FOLDER = "give another folder"
_REMEDIES = {
    errno.ENOSPC: "free space on the disk, or give a folder on another one",
    errno.EFBIG: "raise the limit of the size of a file (ulimit -f)",
    errno.EDQUOT: "free space in the quota, or give a folder on another disk",
    errno.EROFS: f"it is read-only; {_OTHER_FOLDER}",
    errno.EACCES: f"give the permission, or {_OTHER_FOLDER}",
    errno.EPERM: f"give the permission, or {_OTHER_FOLDER}",
    errno.EEXIST: "a file is in the place of a folder; give another path",
    errno.ENOTDIR: "a file is in the place of a folder; give another path",
    errno.EISDIR: "a folder is in the place of a file; give another path",
    errno.ELOOP: "its links form a circle; correct them",
    errno.ENAMETOOLONG: "its name is too long; give a shorter path",
    errno.ENOENT: "it was moved or deleted; restore it",
    errno.ESTALE: "the network folder is gone; mount it again",
    errno.EIO: "the disk has a fault; check it",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower num_workers",
    errno.ENOMEM: "lower batch_size, num_workers or the size of the images",
}
_WORKER = re.compile(
    r"DataLoader worker \(pid\(?s?\)? ?[\d, ]+\) (?:is killed by signal: \w+|exited)"
)
_DEVICE = re.compile(r"\[[^\]]*gloo[^\]]*\]|NCCL|Connection closed by peer|DistStore")


def machine_error_message(error: BaseException) -> str | None:
    """Return the message of an error that the machine caused; None for other errors.

    Such errors are raised anywhere, also in other libraries and in worker processes of
    a loader, whose exceptions hold their traceback as text.
    """
    for cause in _chain(error):
        text = str(cause)
        number, file = _system_error(cause, text)
        if number in _REMEDIES:
            reason = os.strerror(number)
            printing = isinstance(cause, OSError) and is_of_output(cause)
            name = file or ("the output" if printing else "a file")
            return f"{name} cannot be used: {reason}; {_REMEDIES[number]}"
        worker = _WORKER.search(text)
        if worker:
            shared = "; raise the shared memory" if "shared memory" in text else ""
            return (
                f"a loader lost a worker process: {worker[0]}{shared}; if memory ran"
                " out, lower num_workers, batch_size or the size of the images"
            )
        if isinstance(cause, RuntimeError) and _DEVICE.search(text):
            reason = " ".join(text.split())[:120]
            return (
                f"another device of the training was lost: {reason}; see the message of"
                " its process"
            )
    return None


def hide_in_threads(arguments: threading.ExceptHookArgs) -> None:
    """Print no traceback of a log writer's thread: the main thread gets the error too.

    For use as ``threading.excepthook``.
    """
    error = arguments.exc_value
    if error is None or machine_error_message(error) is None:
        threading.__excepthook__(arguments)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _system_error(error: BaseException, text: str) -> tuple[int, str | None]:
    """Return the number of an error of the operating system and the file; 0 if none."""
    if not isinstance(error, OSError):
        return 0, None
    if error.errno is not None:
        return error.errno, error.filename and str(error.filename)
    found = re.search(r"\[Errno (\d+)\] [^:]*(?:: '(.+?)')?$", text.strip())
    return (int(found[1]), found[2]) if found else (0, None)
