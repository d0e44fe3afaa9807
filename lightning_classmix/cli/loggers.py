"""The loggers of a run of the command line, and the folder that they write to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only


class Utf8CSVLogger(CSVLogger):
    """Write the CSV file in UTF-8; Lightning would use the encoding of the locale.

    That may lack letters of the class names, which are part of the columns' names.
    """

    @property
    def experiment(self) -> Any:
        """Return Lightning's writer, whose text files are UTF-8."""
        created = self._experiment is None
        writer: Any = super().experiment
        if created and self._experiment is not None:
            writer._fs = _Utf8Files(writer._fs)
        return writer


class _Utf8Files:
    """A file system whose text files are UTF-8."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open(self, path: str, mode: str, **options: Any) -> Any:
        return self._files.open(path, mode, encoding="utf-8", **options)


def trainer_loggers(
    logger: Logger | list[Logger] | bool | None, root: str | os.PathLike[str] | None
) -> Any:
    """Return the loggers to create the Trainer with; without a logger, TensorBoard.

    Args:
        logger: The Trainer's ``logger``: loggers; None or True for TensorBoard; False
            for none.
        root: The Trainer's ``default_root_dir``; None for the current folder.
    """
    if logger is False:
        return False
    given = logger if isinstance(logger, list) else [logger]
    loggers = [one for one in given if isinstance(one, Logger)]
    return loggers or [TensorBoardLogger(Path(root or Path.cwd()))]


def open_run_folder(loggers: Sequence[Logger]) -> list[Logger]:
    """Create the folder of a run; return the loggers, one of which writes a CSV file.

    Two runs that start at the same moment get different folders. Loggers that do not
    write to files of a run folder, such as that of Weights & Biases, are returned as
    they are.

    Args:
        loggers: The loggers of the Trainer.
    """
    opened = list(loggers)
    for logger in loggers:
        _create_folder(logger)
    if loggers and isinstance(loggers[0], TensorBoardLogger):
        folder = loggers[0].log_dir
        if not any(isinstance(logger, CSVLogger) for logger in loggers):
            opened.append(Utf8CSVLogger(folder, name="", version=""))
    return opened


def _create_folder(logger: Logger) -> None:
    """Create the ``version_N`` folder of a logger that has none, on the first device.

    Lightning would use the first free number, and create the folder later, so that two
    runs could use the same.
    """
    if not isinstance(logger, TensorBoardLogger | CSVLogger):
        return
    if logger._version is not None or "://" in str(logger.save_dir):
        return
    if getattr(rank_zero_only, "rank", 0) != 0:
        return
    Path(logger.log_dir).parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            Path(logger.log_dir).mkdir()
        except FileExistsError:  # of a run that was first, or a file
            logger._version = int(logger.version) + 1
        else:
            return
