"""The report of a run as a browser shows it."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.cli.main import main
from lightning_classmix.cli.report import run_argument
from tests.browser import CHROMIUM, view

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing")


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for a few steps and report the run."""
    folder = tmp_path_factory.mktemp("run")
    fit = (
        "fit --config street_scenes --data.labeled 4 --data.unlabeled 8 --data.val 4"
        " --data.test 2 --data.size [32,48] --trainer.max_steps 4"
        " --trainer.val_check_interval 2 --trainer.log_every_n_steps 1"
        " --trainer.accelerator cpu --trainer.enable_progress_bar false"
        " --trainer.enable_model_summary false --model.labeled_only_steps 0"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(patch, fit)
        run(patch, "report lightning_logs/version_0")
    return folder / "lightning_logs/version_0/report.html"


@pytest.mark.slow
def test_the_report_of_a_training_shows_what_fit_has_written(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in (
        "StreetScenesDataModule",
        "student IoU",
        "val_miou_teacher",
        "pseudo-label of an image",
        "Worst and best",
        "Mixed images over time",
        "Confusion matrix",
        "max_steps: 4",
    ):
        assert part in text


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_report_without_errors_or_requests(
    page: Path, tmp_path: Path
) -> None:
    shown = view(page, tmp_path)
    assert shown.requests == []
    assert shown.messages == []
    with Image.open(io.BytesIO(shown.screenshot)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] >= 1200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # pictures are shown


@pytest.mark.slow
@needs_chromium
def test_a_request_and_an_error_would_be_found(page: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    image = '<img src="http://example.com/a.png">'
    wrong.write_text(page.read_text(encoding="utf-8").replace("<h1>", f"{image}<h1>"))
    shown = view(wrong, tmp_path / "first")
    assert any("Content Security Policy" in message for message in shown.messages)
    wrong.write_text(image)
    shown = view(wrong, tmp_path / "second")
    assert shown.requests == ["http://example.com/a.png"]
    assert any("ERR_NAME_NOT_RESOLVED" in message for message in shown.messages)


def test_the_folder_may_stand_first() -> None:
    assert run_argument(["run", "--out", "a"]) == ["--run=run", "--out", "a"]
    assert run_argument(["--run", "a"]) == ["--run", "a"]


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, f"report {tmp_path}")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("classmix: error: run must be a folder with the metrics.csv")
