from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from lightning_classmix.cli.loggers import run_loggers


@pytest.mark.parametrize("logger", [None, True, []])
def test_the_default_is_tensorboard_with_a_csv_file_in_its_folder(
    tmp_path: Path, logger: bool | None
) -> None:
    board, csv = run_loggers(logger, tmp_path)
    assert isinstance(board, TensorBoardLogger)
    assert isinstance(csv, CSVLogger)
    assert (
        Path(csv.log_dir)
        == Path(board.log_dir)
        == tmp_path / "lightning_logs/version_0"
    )


def test_no_logger_stays_none(tmp_path: Path) -> None:
    assert run_loggers(False, tmp_path) is False


def test_the_loggers_of_the_user_are_kept(tmp_path: Path) -> None:
    csv = CSVLogger(tmp_path)
    assert run_loggers(csv, tmp_path) == [csv]
    wandb = object.__new__(WandbLogger)
    assert run_loggers([wandb], tmp_path) == [wandb]
    board = TensorBoardLogger(tmp_path, name="mine")
    first, second = run_loggers(board, None)
    assert first is board
    assert Path(second.log_dir) == tmp_path / "mine/version_0"
