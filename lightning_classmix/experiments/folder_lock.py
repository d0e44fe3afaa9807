"""Let one process at a time work in the folder of an experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Refuse a folder in which another process is inside such a block.

    The system ends the lock with the process, even if that is killed; processes that
    it forks do not hold it. The file ``.lock`` stays in the folder: if it were deleted,
    two processes could lock two files of that name. Without effect on Windows and on
    file systems without locks.

    Args:
        folder: Folder to lock, created if missing.

    Raises:
        ValueError: If another process has locked the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ValueError(
                "a folder must be used by one process at a time, got another one that"
                f" works in {folder}; wait for its end, or give another folder"
            ) from None
        except OSError:  # no locks
            pass
        yield
