import csv
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_classmix import CamVidDataModule, StreetScenesDataModule
from lightning_classmix.callbacks.signals import Stopped
from lightning_classmix.experiments import (
    compare_data,
    compare_training,
    compare_workers,
)
from lightning_classmix.experiments.compare import compare
from lightning_classmix.experiments.compare_data import (
    build_data,
    draw_lists,
    pool_arguments,
)
from lightning_classmix.experiments.compare_methods import METHODS, Method
from lightning_classmix.experiments.compare_run import Run, Setup
from lightning_classmix.experiments.compare_training import build_module, execute
from tests.images import make_camvid

MIX: dict[str, Any] = {
    "init_args": {"labeled_only_steps": 1, "ramp_steps": 0},
    "decay": 0.5,
}
SMALL_UNET = {"model": "small_unet", "encoder_weights": None}


@pytest.fixture(scope="module", autouse=True)
def few_held_out() -> Iterator[None]:
    """Hold out 4 scenes instead of 40, so that few scenes are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_data, "HELD_OUT", 4)
        yield


def scenes(**options: Any) -> StreetScenesDataModule:
    return StreetScenesDataModule(
        6, 8, 2, 0, **{"size": (32, 48), "batch_size": 2, **options}
    )


def small_comparison(out: Path, **options: Any) -> dict[str, Any]:
    """Compare with one step and one rate unless told otherwise."""
    arguments: dict[str, Any] = {
        "data": scenes(),
        "labels": [4],
        "methods": ["supervised"],
        "seeds": [0],
        "steps": 1,
        "rates": [0.01],
    }
    return compare(**(arguments | options), out=out)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that makes a run in a folder with lists."""
    data = scenes()
    setup = Setup(type(data), pool_arguments(data), SMALL_UNET, tmp_path / "out")
    pool = build_data(setup.data_class, setup.data_arguments)
    for out in ("out", "other"):
        draw_lists(pool, [0], tmp_path / out / "lists")

    def make(out: str = "out", **options: Any) -> Run:
        arguments = {
            "name": "mix",
            "method": Method(**MIX),
            "labels": 4,
            "seed": 0,
            "steps": 5,
        }
        changed = Setup(*vars(setup).values())
        object.__setattr__(changed, "out", tmp_path / out)
        return Run(changed, **{**arguments, "lr": 0.01, **options})

    return make


def weights(run: Run) -> Any:
    return torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare 2 methods with 2 label counts and 2 seeds on street scenes."""
    out = tmp_path_factory.mktemp("comparison")
    compare(
        scenes(),
        [4, "all"],
        ["supervised", "mix"],
        [0, 1],
        3,
        out,
        define={"mix": MIX},
        rates=[0.001, 0.01],
    )
    return out


@pytest.mark.slow
def test_results_hold_every_run_with_its_settings(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text())
    runs = content["runs"]
    keys = {(run["method"], run["labels"], run["seed"]) for run in runs}
    assert keys == {
        (method, labels, seed)
        for method in ("supervised", "mix")
        for labels in (4, 10)
        for seed in (0, 1)
    }
    for run in runs:
        assert run["steps"] == 3
        assert run["init_args"] == (MIX["init_args"] if run["method"] == "mix" else {})
        assert run["data_arguments"]["size"] == [32, 48]
        networks = {"student", "teacher"} if run["method"] == "mix" else {"student"}
        assert run["networks"].keys() == networks
        assert run["miou"] == run["networks"][run["evaluate"]]["miou"]
        scored = [iou for iou in run["iou"].values() if iou is not None]
        assert run["miou"] == pytest.approx(sum(scored) / len(scored), abs=1e-6)
    assert content["versions"]["torch"] == torch.__version__


@pytest.mark.slow
def test_each_method_uses_its_best_rate(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text())
    for run in content["runs"]:
        scores = content["rates"][run["method"]]
        assert scores.keys() == {"0.001", "0.01"}
        assert run["lr"] == float(max(scores, key=lambda lr: scores[lr]))


@pytest.mark.slow
def test_tables_and_figure_are_written(folder: Path) -> None:
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert float(rows[0]["miou"]) == float(rows[0]["miou_student"])
    assert rows[0]["miou_teacher"] == ""
    assert {"iou/road", "lr", "shared", "commit", "versions"} <= rows[0].keys()
    for name in ("report.md", "report.html"):
        assert "difference to supervised" in (folder / name).read_text()
    assert "data:image/png" in (folder / "report.html").read_text()
    assert (folder / "miou.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_finished_runs_are_not_repeated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(folder, tmp_path / "copy")
    executed: list[Run] = []

    def note(run: Run, on_step: object) -> None:
        executed.append(run)
        execute(run, lambda step: None)

    monkeypatch.setattr(compare_workers, "execute", note)
    before = (folder / "results.csv").read_text()
    options: dict[str, Any] = {
        "labels": [4, "all"],
        "methods": ["supervised", "mix"],
        "steps": 3,
        "define": {"mix": MIX},
        "rates": [0.001, 0.01],
    }
    small_comparison(folder, seeds=[0, 1], **options)
    assert executed == []
    assert (folder / "results.csv").read_text() == before
    small_comparison(folder, seeds=[0, 1, 2], **options)
    assert [(run.name, run.labels, run.seed) for run in executed] == [
        ("supervised", 4, 2),
        ("supervised", 10, 2),
        ("mix", 4, 2),
        ("mix", 10, 2),
    ]


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(folder: Path, tmp_path: Path) -> None:
    content = compare(
        scenes(),
        [4],
        ["supervised", "mix"],
        [0, 1],
        3,
        tmp_path,
        define={"mix": MIX},
        rates=[0.001, 0.01],
        jobs=2,
    )
    expected = json.loads((folder / "results.json").read_text())["runs"]
    assert content["runs"] == [run for run in expected if run["labels"] == 4]


@pytest.mark.slow
def test_a_failed_process_names_its_run_and_the_reason(tmp_path: Path) -> None:
    message = "run supervised, 4 labels, seed 0 failed: losses must be finite.*error"
    with pytest.raises(RuntimeError, match=message):
        small_comparison(tmp_path, rates=[1e30], steps=3, jobs=2)
    (path,) = tmp_path.rglob("error.txt")
    assert "Traceback" in path.read_text()


@pytest.mark.slow
def test_camvid_is_compared(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=14, val=2)
    data = CamVidDataModule(root, size=(24, 32), batch_size=2, num_workers=0)
    content = compare(
        data,
        [4, "all"],
        ["supervised", "mix"],
        [0, 1],
        3,
        tmp_path / "out",
        define={"mix": MIX},
        rates=[0.01],
    )
    assert len(content["runs"]) == 8
    assert content["rates"] == {}
    run = tmp_path / "out/runs/mix/4-labels-seed-1"
    labeled = (run / "split.txt").read_text().split()
    order = (tmp_path / "out/lists/seed_1.txt").read_text().split()
    assert {*labeled} == {*order[:4]}


@pytest.mark.slow
def test_a_rate_that_diverges_is_not_chosen(tmp_path: Path) -> None:
    content = small_comparison(tmp_path, rates=[1e30, 0.01], steps=4)
    assert content["rates"]["supervised"][1e30] is None
    assert content["runs"][0]["lr"] == 0.01


def test_methods_start_from_equal_weights(make_run: Callable[..., Run]) -> None:
    students = []
    for name in ("supervised", "mean_teacher", "classmix_olsson2021"):
        run = make_run(name=name, method=METHODS[name])
        data = build_data(run.setup.data_class, run.setup.data_arguments)
        students.append(build_module(run, data).student.state_dict())
    for student in students[1:]:
        for key, value in students[0].items():
            torch.testing.assert_close(student[key], value, rtol=0, atol=0)


@pytest.mark.slow
def test_a_killed_run_continues_to_equal_weights(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_training, "CHECKPOINT_INTERVAL", 2)
    steps: list[int] = []

    def kill(step: int) -> None:
        steps.append(step)
        if step == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        execute(make_run(), kill)
    assert make_run().result() is None
    execute(make_run(), steps.append)
    assert steps == [1, 2, 3, 3, 4, 5]  # step 3 was lost

    execute(make_run("other"), lambda step: None)
    expected = weights(make_run("other"))
    for key, value in weights(make_run()).items():
        assert torch.equal(value, expected[key]), key
    assert make_run().result() == make_run("other").result()


def test_a_trained_run_without_a_score_is_only_scored(
    make_run: Callable[..., Run],
) -> None:
    execute(make_run(steps=1), lambda step: None)
    result = make_run(steps=1).result()
    (make_run().folder / "result.json").unlink()
    steps: list[int] = []
    execute(make_run(steps=1), steps.append)
    assert steps == []
    assert make_run(steps=1).result() == result


def test_a_signal_writes_a_checkpoint_and_stops(make_run: Callable[..., Run]) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(step: int) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped) as stop:
        execute(make_run(), interrupt)
    assert stop.value.number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    saved = torch.load(make_run().folder / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 2},
        {"rates": [0.02]},
        {"data": scenes(batch_size=3)},
        {"shared": {"weight_decay": 0.5}},
        {"define": {"supervised": MIX}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_results_of_other_settings_are_refused_before_the_first_step(
    tmp_path: Path, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_workers, "execute", _write_settings)
    with pytest.raises(KeyError):  # nothing was scored
        small_comparison(tmp_path)
    with pytest.raises(ValueError, match="out must be a folder of runs with the same"):
        small_comparison(tmp_path, **changed)


def _write_settings(run: Run, on_step: object) -> None:
    run.folder.mkdir(parents=True)
    (run.folder / "settings.json").write_text(json.dumps(run.settings()))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ["clasmix"]}, "got 'clasmix'; did you mean classmix"),
        ({"labels": [11]}, r"labels must be 'all' or in \[1, 10\].*got 11"),
        ({"labels": ["every"]}, "labels must be 'all' or at least 1, got every"),
        ({"labels": [4, 0]}, "labels must be 'all' or at least 1, got 0"),
        ({"labels": [4, 4]}, "labels must be distinct, got 4, 4"),
        ({"labels": [10, "all"]}, "labels must be distinct, got 10, 10"),
        ({"labels": []}, "labels must have at least 1 value"),
        ({"seeds": []}, "seeds must have at least 1 value, got none"),
        ({"seeds": [1, 1]}, "seeds must be distinct, got 1, 1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"seeds": [-1]}, r"seeds must be in \[0, 4294967295\], got \(-1,\)"),
        ({"rates": [-1.0]}, r"^rates must be greater than 0, got -1\.0"),
        ({"rates": [0.1, 0.0]}, r"^rates must be greater than 0, got 0\.0"),
        ({"rates": []}, "^rates must have at least 1 value"),
        ({"rates": {"supervised": -1}}, "^rates of supervised must be .* got -1"),
        ({"rates": {"supervised": []}}, "^rates of supervised must have at least 1"),
        (
            {"shared": {"num_classes": 9}},
            "^num_classes must be that of the data, 7, got 9; leave it out",
        ),
        ({"shared": {"lr": "nan"}}, r"^shared\.lr must be greater than 0, got nan"),
        (
            {"define": {"supervised": {"init_args": {"lr": -1}}}},
            "^lr of supervised must be greater than 0, got -1",
        ),
        ({"rates": {"classmix": 0.1}}, "rates must be given for methods, got classmix"),
        ({"shared": {"encodr": "resnet18"}}, "encodr; did you mean encoder"),
        (
            {"define": {"supervised": {"init_args": {"threshold": 2}}}},
            r"threshold must be in \[0, 1\], got 2",
        ),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_step(
    tmp_path: Path,
    changed: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(compare_workers, "execute")
    with pytest.raises(ValueError, match=message):
        small_comparison(tmp_path, **changed)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="out must be a folder that can be written"):
        small_comparison(tmp_path / "file")
