"""Report a run as one self-contained HTML page."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from lightning_classmix.callbacks.pseudo_label_health import REMEDY, VANISHED
from lightning_classmix.experiments.report_chart import line_chart
from lightning_classmix.experiments.report_page import Page
from lightning_classmix.experiments.report_run import Curve, RecordedRun, read_run
from lightning_classmix.experiments.report_scores import add_confusion, add_scores

_MOST_MIXES = 8  # pictures of mixes in a page
_MOST_LINES = 24  # lines of a chart


def report(run: Path, out: Path | None = None) -> Path:
    """Write a run as one HTML page that needs no other file and no network.

    The page shows settings, curves, scores per class of student and teacher, the
    confusion matrix, the worst and best validation images, mixed images over time and
    the health of the pseudo-labels. A run that continues another one shows the curves
    of both.

    Args:
        run: Folder that fit wrote, such as lightning_logs/version_0.
        out: File to write; null for report.html in that folder.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If a file of the run cannot be read.
    """
    recorded = read_run(run)
    out = out or run / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    page = Page(
        f"Run {run.resolve().parent.name}/{run.resolve().name}", _summary(recorded)
    )
    for earlier in recorded.earlier:
        page.note(f"Continues {earlier}")
    if recorded.validation is not None:
        add_scores(page, recorded.validation)
    else:
        page.note("No validation is recorded.")
    _add_curves(page, recorded.curves)
    _add_health(page, recorded.curves)
    _add_pictures(page, recorded)
    if recorded.validation is not None:
        add_confusion(page, recorded.validation)
    _add_settings(page, recorded)
    page.write(out)
    return out


def _summary(run: RecordedRun) -> str:
    """Return one line: method, network, data and best score."""
    arguments = run.setting("model", "init_args") or {}
    network = arguments.get("network")
    if isinstance(network, dict):
        networks = [_class_name(network.get("class_path"))]
    else:
        networks = [str(arguments.get(key) or "") for key in ("model", "encoder")]
    parts = [
        _class_name(run.setting("model", "class_path")),
        *networks,
        _class_name(run.setting("data", "class_path")),
    ]
    miou = run.curves.get("val_miou", [])
    if miou:
        step, best = max(miou, key=lambda point: point[1])
        parts.append(f"best val_miou {100 * best:.1f} points at step {step:g}")
        parts.append(f"last {100 * miou[-1][1]:.1f}")
    return " · ".join(filter(None, parts))


def _class_name(class_path: object) -> str:
    return str(class_path or "").rpartition(".")[2]


def _add_curves(page: Page, curves: Mapping[str, Curve]) -> None:
    """Add the losses and scores over the steps."""
    losses = {key: curve for key, curve in curves.items() if "loss" in key}
    miou = {
        key: [(step, 100 * value) for step, value in curve]
        for key, curve in curves.items()
        if key.startswith("val_miou_")
    }
    figures = [
        line_chart(losses, title="Losses", unit="nats per pixel"),
        line_chart(miou, title="Mean IoU", unit="points"),
        line_chart(_by_class(curves, "val_iou/"), title="IoU per class", unit="points"),
    ]
    if any(figures):
        page.section("Curves over the optimizer steps")
        page.charts(figures)


def _add_health(page: Page, curves: Mapping[str, Curve]) -> None:
    """Add what `PseudoLabelHealth` has logged."""
    prefix = "pseudo_label/"
    if not any(key.startswith(prefix) for key in curves):
        return
    page.section("Health of the pseudo-labels")
    shares = {
        name: [(step, 100 * value) for step, value in curves.get(prefix + name, [])]
        for name in ("confident", "agreement", "moved")
    }
    classes = {"classes": curves.get(f"{prefix}classes_per_image", [])}
    page.charts(
        [
            line_chart(
                shares,
                title="Confident, agreed by the student, moved",
                unit="% of the pixels",
            ),
            line_chart(classes, title="Classes in the pseudo-label of an image"),
            line_chart(
                _by_class(curves, f"{prefix}share/"),
                title="Share of each class among the pseudo-labels",
                unit="%",
            ),
        ]
    )
    rows: list[list[object]] = []
    lost = []
    for key, curve in curves.items():
        if key.startswith(f"{prefix}share/"):
            name = key.removeprefix(f"{prefix}share/")
            labeled = curves.get(f"{prefix}labeled_share/{name}", [(0.0, 0.0)])[-1][1]
            share = curve[-1][1]
            rows.append([name, share, labeled])
            if share < VANISHED * labeled:
                lost.append(name)
    if lost:
        page.warning(
            f"Almost absent from the last pseudo-labels: {', '.join(lost)}. {REMEDY}"
        )
    page.note("Share of each class at the last logging interval, in points:")
    page.table(["class", "pseudo-labels", "labels"], rows)


def _add_pictures(page: Page, run: RecordedRun) -> None:
    predictions = run.pictures("validation-*")
    if predictions:
        page.section("Validation images")
        page.picture(predictions[-1], f"Step {_step(predictions[-1])}")
    if run.validation is not None and run.validation["worst"]:
        page.section("Worst and best validation images")
        page.note("By the mean IoU over the classes of the image's label.")
        for kind in ("worst", "best"):
            for entry in run.validation[kind]:
                score = f"{100 * entry['miou']:.1f} points"
                caption = f"{kind}: {entry['name']}, {score}"
                page.picture(run.folder / entry["file"], caption)
    mixes = run.pictures("mix-*")
    if mixes:
        page.section("Mixed images over time")
        for path in _spread(mixes, _MOST_MIXES):
            page.picture(path, f"Step {_step(path)}")


def _add_settings(page: Page, run: RecordedRun) -> None:
    if run.settings is not None:
        page.section("Settings")
        content = yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True)
        page.details("config.yaml", content)


def _by_class(curves: Mapping[str, Curve], prefix: str) -> dict[str, Curve]:
    """Return the curves of each class in points; none if the classes are many."""
    found = {
        key.removeprefix(prefix): [(step, 100 * value) for step, value in curve]
        for key, curve in curves.items()
        if key.startswith(prefix)
    }
    return found if len(found) <= _MOST_LINES else {}


def _step(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _spread(paths: list[Path], most: int) -> Iterable[Path]:
    if len(paths) <= most:
        return paths
    return [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
