import csv
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lightning_classmix.cli.loggers import open_run_folder, trainer_loggers

VERSION = "lightning_logs/version_0"


@pytest.mark.parametrize("logger", [None, True, []])
def test_the_default_is_tensorboard_with_a_csv_file_in_its_folder(
    tmp_path: Path, logger: bool | None
) -> None:
    board, table = open_run_folder(trainer_loggers(logger, tmp_path))
    assert isinstance(board, TensorBoardLogger)
    assert isinstance(table, CSVLogger)
    assert Path(table.log_dir) == Path(board.log_dir) == tmp_path / VERSION


def test_the_csv_file_is_utf8_whatever_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, logger = open_run_folder(trainer_loggers(None, tmp_path))
    encodings = []
    opened = io.TextIOWrapper

    def open_text(*arguments: Any, **options: Any) -> Any:
        encodings.append(options.get("encoding"))
        return opened(*arguments, **options)

    monkeypatch.setattr(io, "TextIOWrapper", open_text)
    for step, name in enumerate(["Gebäude", "道路", "道路"]):
        logger.log_metrics({f"val_iou/{name}": 0.5}, step)
        logger.save()
    assert {*encodings} == {"utf-8"}
    with (Path(logger.log_dir or "") / "metrics.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["val_iou/道路"] for row in rows] == ["", "0.5", "0.5"]


def test_no_logger_stays_none(tmp_path: Path) -> None:
    assert trainer_loggers(False, tmp_path) is False
    assert open_run_folder([]) == []


def test_the_loggers_of_the_user_are_kept(tmp_path: Path) -> None:
    table = CSVLogger(tmp_path)
    assert trainer_loggers(table, tmp_path) == open_run_folder([table]) == [table]
    wandb = object.__new__(WandbLogger)
    assert trainer_loggers([wandb], tmp_path) == open_run_folder([wandb]) == [wandb]
    board = TensorBoardLogger(tmp_path, name="mine")
    first, second = open_run_folder(trainer_loggers(board, None))
    assert first is board
    assert Path(second.log_dir or "") == tmp_path / "mine/version_0"


def test_creating_loggers_writes_nothing(tmp_path: Path) -> None:
    trainer_loggers(None, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [TensorBoardLogger, CSVLogger])
def test_runs_that_start_at_the_same_moment_get_different_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Logger]
) -> None:
    barrier = Barrier(4)
    find = kind._get_next_version  # type: ignore[attr-defined]

    def find_together(logger: Logger) -> int:
        number: int = find(logger)
        barrier.wait(timeout=60)
        return number

    monkeypatch.setattr(kind, "_get_next_version", find_together)
    loggers = [kind(tmp_path) for _ in range(4)]  # type: ignore[call-arg]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda logger: open_run_folder([logger]), loggers))
    folders = sorted(Path(logger.log_dir or "").name for logger in loggers)
    assert folders == [f"version_{number}" for number in range(4)]
    assert sorted(path.name for path in (tmp_path / "lightning_logs").iterdir()) == (
        folders
    )


def test_a_file_in_the_place_of_a_run_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "lightning_logs").mkdir()
    (tmp_path / VERSION).write_text("mine")
    board = open_run_folder([TensorBoardLogger(tmp_path)])[0]
    assert Path(board.log_dir or "") == tmp_path / "lightning_logs/version_1"
    assert (tmp_path / VERSION).read_text() == "mine"


def test_a_version_of_the_user_may_exist(tmp_path: Path) -> None:
    (tmp_path / VERSION).mkdir(parents=True)
    board = open_run_folder([TensorBoardLogger(tmp_path, version=0)])[0]
    assert Path(board.log_dir or "") == tmp_path / VERSION


def test_only_the_first_device_creates_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    open_run_folder([TensorBoardLogger(tmp_path)])
    assert not list(tmp_path.iterdir())
