import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_classmix.atomic import (
    atomic_file,
    atomic_folder,
    write_json,
    write_text,
)
from lightning_classmix.datasets.splits import write_split
from lightning_classmix.experiments.compare_figure import save_figure
from lightning_classmix.experiments.compare_results import Summary, write_csv
from lightning_classmix.experiments.demo_figure import save_report
from lightning_classmix.experiments.report_page import Page
from tests.disk import file_size_limit

PICTURE = {"image": np.zeros((8, 8, 3), np.uint8)}
RESULT = {
    "method": "supervised",
    "labels": 4,
    "seed": 0,
    "miou": 0.5,
    "accuracy": 0.5,
    "evaluate": "student",
    "lr": 0.1,
    "steps": 3,
    "iou": {"road": 0.5},
    "networks": {"student": {"miou": 0.5}},
}


def draw(path: Path) -> None:
    save_report(path, [PICTURE], PICTURE, class_names=["a"], palette=[(0, 0, 0)])


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "long" * 99),
    "json": lambda path: write_json(path, {"long": "long" * 99}),
    "split": lambda path: write_split(path, ["long"] * 99),
    "csv": lambda path: write_csv(path, [RESULT] * 9),
    "comparison": lambda path: save_figure(path, {"a": {4: Summary(1, 2, 3, 4)}}),
    "demo": draw,
    "page": lambda path: Page("Title").write(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_the_old_file_stays_and_no_part_is_left(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    with pytest.raises(OSError, match=rf"{path}") as error, file_size_limit(64):
        WRITERS[name](path)
    assert error.value.errno == errno.EFBIG
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    WRITERS[name](path)
    assert path.stat().st_size > 64
    assert [*tmp_path.iterdir()] == [path]


def test_a_text_is_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"a": 1}
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()


def test_a_text_may_hold_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", os.fsdecode(b"caf\xe9.png\n"))
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9.png\n"


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_the_longest_name_that_a_file_can_have_is_written(
    tmp_path: Path, name: str
) -> None:
    write_text(tmp_path / name, "text")
    assert [*tmp_path.iterdir()] == [tmp_path / name]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("file/a", errno.ENOTDIR),
        ("missing/a", errno.ENOENT),
        ("folder", errno.EISDIR),
        ("a" * 300, errno.ENAMETOOLONG),
    ],
)
def test_an_error_names_the_file_and_not_its_temporary_file(
    tmp_path: Path, name: str, number: int
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=f"'{tmp_path / name}'$") as error:
        write_text(tmp_path / name, "text")
    assert error.value.errno == number
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_stop_leaves_no_part_of_a_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def stop(file: Any) -> None:
        file.write("half")
        raise error

    with pytest.raises(error), atomic_file(tmp_path / "a", "w") as file:
        stop(file)
    assert not [*tmp_path.iterdir()]


def test_a_folder_is_filled_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "new/out"
    with atomic_folder(out) as folder:
        (folder / "a").write_text("a")
        (folder / "b").mkdir()
        (folder / "b/c").write_text("c")
        assert [*out.iterdir()] == [folder]
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]
    assert (out / "b/c").read_text() == "c"
    with atomic_folder(out) as folder:
        (folder / "a").write_text("new")
    assert (out / "a").read_text() == "new"


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_stop_leaves_no_part_of_a_folder(
    tmp_path: Path, error: type[BaseException], existed: bool
) -> None:
    out = tmp_path / "out"
    if existed:
        out.mkdir()

    def stop(folder: Path) -> None:
        (folder / "half").mkdir()
        raise error

    with pytest.raises(error), atomic_folder(out) as folder:
        stop(folder)
    assert [*tmp_path.rglob("*")] == ([out] if existed else [])


def copy(folder: Path) -> None:
    shutil.copy2(folder.parent.parent / "large", folder / "copied")


@pytest.mark.parametrize(
    ("fill", "name"),
    [
        (lambda folder: write_text(folder / "text", "long" * 99), "text"),
        (copy, "copied"),
    ],
)
def test_on_a_full_disk_the_file_in_the_folder_is_named(
    tmp_path: Path, fill: Any, name: str
) -> None:
    (tmp_path / "large").write_text("long" * 99)
    out = tmp_path / "out"
    with (
        pytest.raises(OSError, match="too large") as error,
        file_size_limit(64),
        atomic_folder(out) as folder,
    ):
        fill(folder)
    assert error.value.filename == f"{out}/{name}"
    assert error.value.filename2 is None
    assert not out.exists()


def test_on_a_full_disk_an_error_that_names_no_file_gets_the_folder(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(OSError, match="too large") as error,
        file_size_limit(64),
        atomic_folder(tmp_path / "out") as folder,
    ):
        (folder / "text").write_bytes(b"long" * 99)
    assert error.value.filename == str(tmp_path / "out")
