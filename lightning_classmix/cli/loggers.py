"""The loggers of a run of the command line."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger


def run_loggers(
    logger: Logger | list[Logger] | bool | None, root: str | os.PathLike[str] | None
) -> Any:
    """Return the loggers of a run, with one that writes ``metrics.csv``.

    Loggers that do not write to files of a run folder, such as that of Weights &
    Biases, are returned as they are.

    Args:
        logger: The Trainer's ``logger``: loggers; None or True for TensorBoard; False
            for none.
        root: The Trainer's ``default_root_dir``; None for the current folder.
    """
    if logger is False:
        return False
    given = logger if isinstance(logger, list) else [logger]
    loggers = [one for one in given if isinstance(one, Logger)]
    if not loggers:
        loggers = [TensorBoardLogger(Path(root or Path.cwd()))]
    folder = loggers[0].log_dir if isinstance(loggers[0], TensorBoardLogger) else None
    if folder is not None and not any(isinstance(one, CSVLogger) for one in loggers):
        loggers.append(CSVLogger(folder, name="", version=""))
    return loggers
