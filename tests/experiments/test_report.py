import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from lightning_classmix.experiments.report import report
from lightning_classmix.experiments.report_chart import line_chart
from lightning_classmix.experiments.report_page import Page
from lightning_classmix.experiments.report_run import read_run

NAMES = ["sky", "<b>road</b>", 'tr"ee\x1b[31m']


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = sorted({key for row in rows for key in row})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(rows)


def make_run(folder: Path, **settings: Any) -> Path:
    """Write the files of a run: three logging intervals and one validation."""
    rows: list[dict[str, Any]] = []
    for step in (49, 99, 149):
        row = {
            "step": step,
            "epoch": 0,
            "train_loss": 1 / step,
            "val_miou": 0.004 * step,
        }
        row |= {f"val_miou_{network}": 0.5 for network in ("student", "teacher")}
        row |= {"pseudo_label/confident": 0.25, "pseudo_label/classes_per_image": 2.0}
        for name, share in zip(NAMES, (0.7, 0.3, 0.001), strict=True):
            row[f"pseudo_label/share/{name}"] = share
            row[f"pseudo_label/labeled_share/{name}"] = 1 / 3
            row[f"val_iou/{name}"] = 0.4
        rows.append(row)
    write_csv(folder / "metrics.csv", rows)
    metrics = {
        "iou": [0.512, 0.25, None],
        "miou": 0.381,
        "accuracy": 0.75,
        "dice": [0.6, 0.4, None],
        "mdice": 0.5,
        "confusion": [[30, 10, 0], [0, 60, 0], [1, 1, 2]],
    }
    validation = {
        "step": 150,
        "evaluate": "teacher",
        "class_names": NAMES,
        "palette": [[0, 0, 0], [9, 9, 9], [80, 80, 80]],
        "scores": {"student": metrics, "teacher": metrics},
        "worst": [{"name": "a<i>", "miou": 0.1, "file": "pictures/worst-1.png"}],
        "best": [{"name": "b", "miou": 0.9, "file": "pictures/best-1.png"}],
    }
    (folder / "validation.json").write_text(json.dumps(validation))
    (folder / "pictures").mkdir()
    for name in ("validation-00000150", "worst-1", "best-1"):
        save(folder / f"pictures/{name}.png")
    for step in range(20):
        save(folder / f"pictures/mix-{step:08d}.png")
    config = {
        "model": {
            "class_path": "lightning_classmix.ClassMix",
            "init_args": {"model": "unet", "encoder": "resnet18", "lr": 0.003},
        },
        **settings,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def save(path: Path) -> None:
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)


def page_of(folder: Path) -> str:
    return report(folder).read_text(encoding="utf-8")


def test_the_page_shows_every_part_of_a_run(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "logs/version_0"))
    titles = re.findall("<h[12]>(.+?)</h", page)
    assert titles == [
        "Run logs/version_0",
        "Scores of the validation at step 150",
        "Curves over the optimizer steps",
        "Health of the pseudo-labels",
        "Validation images",
        "Worst and best validation images",
        "Mixed images over time",
        "Confusion matrix of the teacher, in % of the true class",
        "Settings",
    ]
    summary = "ClassMix · unet · resnet18 · best val_miou 59.6 points at step 149"
    assert summary in page
    for cell in ("student IoU", "teacher dice", "51.2", "38.1", ">75<", "lr: 0.003"):
        assert cell in page
    assert len(re.findall("data:image/png;base64", page)) == 3 + 8
    assert "Almost absent from the last pseudo-labels: tr" in page


def test_names_are_escaped_and_control_characters_replaced(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "<u>run</u>"))
    for raw in ("<b>road", "<u>run", "<i>", "\x1b", 'tr"ee'):
        assert raw not in page
    assert "&lt;b&gt;road&lt;/b&gt;" in page


def test_the_page_needs_no_other_file_and_runs_no_script(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run"))
    assert "<script" not in page
    assert not re.findall("https?:|url\\(|@import", page)
    sources = re.findall(r'(?:src|href)="(.{5})', page)
    assert set(sources) == {"data:"}


def test_a_run_without_validation_and_settings_is_reported(tmp_path: Path) -> None:
    write_csv(tmp_path / "metrics.csv", [{"step": 0, "train_loss": 1.5}])
    page = page_of(tmp_path)
    assert "No validation is recorded." in page
    assert "Losses" in page
    assert "Confusion" not in page


def test_a_resumed_run_shows_the_curves_of_both_runs(tmp_path: Path) -> None:
    first = make_run(tmp_path / "version_0")
    second = make_run(
        tmp_path / "version_1", ckpt_path=str(first / "checkpoints/last.ckpt")
    )
    rows = [{"step": step, "train_loss": 7.0} for step in (99, 199)]
    write_csv(second / "metrics.csv", rows)
    run = read_run(second)
    assert run.earlier == [first]
    assert run.curves["train_loss"] == [(49, 1 / 49), (99, 7.0), (199, 7.0)]
    assert f"Continues {first}" in page_of(second)


def test_many_classes_show_the_most_frequent_confusions(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    validation = json.loads((run / "validation.json").read_text())
    matrix = np.eye(30, dtype=int) * 90
    matrix[3, 7] = 10
    for scores in validation["scores"].values():
        scores |= {"iou": [0.5] * 30, "dice": [0.5] * 30, "confusion": matrix.tolist()}
    validation["class_names"] = [f"class {index}" for index in range(30)]
    (run / "validation.json").write_text(json.dumps(validation))
    page = page_of(run)
    assert "<td>class 3</td><td>class 7</td>" in page
    assert ">10.0<" in page


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("metrics.csv", "step,loss\n1,abc\n", "metrics.csv must hold numbers"),
        ("metrics.csv", "loss\n1\n", "metrics.csv must hold numbers"),
        ("validation.json", '{"step": 1', "validation.json must be JSON"),
        ("validation.json", '{"step": 1}', "validation.json must be written by Val"),
        ("config.yaml", "a: [", "config.yaml must be YAML"),
    ],
)
def test_a_broken_file_is_named(
    tmp_path: Path, name: str, content: str, error: str
) -> None:
    run = make_run(tmp_path / "run")
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=error):
        report(run)


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run must be a folder with the metr"):
        report(tmp_path)


def test_the_page_goes_to_a_file_of_choice(tmp_path: Path) -> None:
    out = tmp_path / "new/page.html"
    assert report(make_run(tmp_path / "run"), out) == out
    assert out.is_file()


def test_a_chart_leaves_out_values_that_are_not_finite() -> None:
    points = [(0, 1.0), (1, float("nan")), (2, 3.0), (3, 2.0)]
    chart = line_chart({"a": points, "b": [(0, float("inf"))]}, title="t")
    assert chart.count("<polyline") == 1  # a single point is no line
    assert chart.count("<circle") == 3
    assert "nan" not in chart
    assert ">b<" not in chart
    assert line_chart({"b": [(0, float("nan"))]}, title="t") == ""


def test_a_constant_curve_is_drawn() -> None:
    chart = line_chart({"a": [(5, 0.0), (9, 0.0)]}, title="t", unit="u")
    (points,) = re.findall('points="([^"]+)"', chart)
    heights = {point.split(",")[1] for point in points.split()}
    assert len(heights) == 1


def test_a_long_curve_is_thinned() -> None:
    chart = line_chart({"a": [(x, x) for x in range(40_000)]}, title="t")
    assert len(chart) < 20_000


def test_a_cell_of_the_matrix_shows_its_share_of_the_true_class(tmp_path: Path) -> None:
    page = Page("t")
    page.matrix(["a", "b"], [[3, 1], [0, 0]])
    page.write(tmp_path / "t.html")
    cells = re.findall(r'title="(\d)">(\d*)<', (tmp_path / "t.html").read_text())
    assert cells == [("3", "75"), ("1", "25"), ("0", ""), ("0", "")]
