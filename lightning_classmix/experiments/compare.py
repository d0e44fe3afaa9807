"""Compare methods by label count and seed on one dataset, with equal conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from lightning_classmix.atomic import write_json, write_text
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.experiments.compare_data import (
    HELD_OUT,
    build_data,
    draw_lists,
    pool_arguments,
)
from lightning_classmix.experiments.compare_figure import save_figure
from lightning_classmix.experiments.compare_methods import (
    RATES,
    Rates,
    candidate_rates,
    check_distinct,
    select_methods,
)
from lightning_classmix.experiments.compare_progress import Progress
from lightning_classmix.experiments.compare_results import (
    environment,
    summarize_all,
    write_csv,
)
from lightning_classmix.experiments.compare_run import Run, Setup
from lightning_classmix.experiments.compare_tables import (
    describe,
    markdown_report,
    report_tables,
)
from lightning_classmix.experiments.compare_training import build_module
from lightning_classmix.experiments.compare_workers import execute_all
from lightning_classmix.experiments.folder_lock import lock_folder
from lightning_classmix.experiments.report_page import Page
from lightning_classmix.ops.ranges import check_ranges

SMALL_UNET = {"model": "small_unet", "encoder_weights": None}
"""The network of a comparison whose ``shared`` arguments name none."""


def compare(
    data: SemiSupervisedDataModule,
    labels: Sequence[int | str],
    methods: Sequence[str] = ("supervised", "classmix"),
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 6000,
    out: str | Path = "comparison",
    *,
    shared: dict[str, Any] | None = None,
    define: dict[str, dict[str, Any]] | None = None,
    rates: Rates = RATES,
    jobs: int = 1,
    threads: int = 1,
) -> dict[str, Any]:
    """Train every method with every label count and seed, and compare the mIoU.

    Runs with the same label count and seed share the labeled images, the initial
    weights, the augmentation and the number of steps. The learning rate of a method is
    the best of several trials of half the length, with the first seed and the smallest
    label count, scored on 40 training images that no run trains on. Finished runs are
    not repeated, and interrupted runs continue from their last checkpoint. Writes
    ``results.json``, ``results.csv``, ``report.md``, ``report.html`` and ``miou.png``.

    Args:
        data: Data module that reads files, or StreetScenesDataModule. ``labels``
            replaces its ``labeled``; its ``seed`` draws the held-out images.
        labels: Numbers of labeled images; ``all`` means all but the 40 that are held
            out to choose the learning rates.
        methods: Names of the methods: supervised, mean_teacher, pseudo_label, cutmix,
            cowmix, classmix, classmix_olsson2021, and those of ``define``.
        seeds: Seeds for drawing the labeled images, for the initial weights and for
            the training.
        steps: Optimizer steps of each run.
        out: Folder of the results, created if missing; runs in it are continued.
        shared: Arguments of Supervised for all methods, such as ``model``, ``encoder``
            and ``encoder_weights``; without ``model``, the network is ``small_unet``.
        define: Further methods by name, each with ``class_path`` of a module, its
            ``init_args`` and the ``decay`` of the teacher.
        rates: Learning rates to try for every method, or by method; a single rate is
            used without trials.
        jobs: Number of worker processes, each of which executes one run at a time.
        threads: Number of CPU threads that torch uses in each process.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: If an argument is out of its range, there are too few training
            images, ``out`` holds runs with other settings, or another process works
            in it.
        Stopped: If a signal stopped the comparison; the same call continues it.
    """
    check_ranges(steps=steps, jobs=jobs, threads=threads, seeds=seeds)
    check_distinct("seeds", list(seeds))
    check_distinct("labels", list(labels))
    for value in labels:
        if value != "all" and (not isinstance(value, int) or value < 1):
            raise ValueError(f"labels must be 'all' or at least 1, got {value}")
    selected = select_methods(methods, define or {})
    shared = dict(shared or {})
    if not {"model", "network"} & shared.keys():
        shared = SMALL_UNET | shared
    for name, method in selected.items():
        method.check(name, shared)
    candidates = candidate_rates(rates, selected, shared)
    folder = _writable_folder(Path(out))

    with lock_folder(folder):
        setup = Setup(type(data), pool_arguments(data), shared, folder)
        pool = build_data(setup.data_class, setup.data_arguments)
        available = draw_lists(pool, seeds, folder / "lists")
        counts = _label_counts(labels, available)
        trials = {
            name: [
                Run(
                    setup, name, method, min(counts), seeds[0], max(1, steps // 2), rate
                )
                for rate in candidates[name]
            ]
            for name, method in selected.items()
        }
        runs = {
            name: [
                Run(setup, name, method, count, seed, steps, candidates[name][0])
                for count in counts
                for seed in seeds
            ]
            for name, method in selected.items()
        }
        for name, tried in trials.items():
            trials[name] = [replace(run, trial=True) for run in tried if len(tried) > 1]
            build_module(runs[name][0], pool)  # refuses wrong arguments
            for run in trials[name] or runs[name]:
                run.result()  # refuses other settings

        console = Console(highlight=False)
        progress = Progress(trials, runs, console)
        with Live(get_renderable=progress.table, console=console, refresh_per_second=2):
            tried = [run for planned in trials.values() for run in planned]
            execute_all(tried, jobs=jobs, threads=threads, on_step=progress.update)
            for name, planned in trials.items():
                if planned:
                    best = _best_rate(name, planned)
                    runs[name] = [replace(run, lr=best) for run in runs[name]]
            planned = [run for listed in runs.values() for run in listed]
            execute_all(planned, jobs=jobs, threads=threads, on_step=progress.update)
        return _write_results(setup, runs, trials)


def _writable_folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"out must be a folder that can be written, got {out}: {error.strerror}"
        ) from error
    return out


def _label_counts(labels: Sequence[int | str], available: int) -> list[int]:
    """Return the label counts in increasing order."""
    counts = []
    for value in labels:
        count = available if value == "all" else value
        if int(count) > available:
            raise ValueError(
                f"labels must be 'all' or in [1, {available}], the training images"
                f" without the {HELD_OUT} held out, got {value}"
            )
        counts.append(int(count))
    check_distinct("labels", counts)
    return sorted(counts)


def _best_rate(name: str, trials: Sequence[Run]) -> float:
    scores = {run.lr: (run.result() or {})["miou"] for run in trials}
    finite = {lr: score for lr, score in scores.items() if score is not None}
    if not finite:
        raise ValueError(
            f"rates of {name} must include a rate whose losses stay finite, got"
            f" {', '.join(f'{lr:g}' for lr in scores)}; give lower rates"
        )
    return max(finite, key=lambda lr: finite[lr])


def _write_results(
    setup: Setup, runs: Mapping[str, list[Run]], trials: Mapping[str, list[Run]]
) -> dict[str, Any]:
    results = [run.result() or {} for planned in runs.values() for run in planned]
    tried = {
        name: {run.lr: (run.result() or {})["miou"] for run in listed}
        for name, listed in trials.items()
        if listed
    }
    versions = environment()
    summaries = summarize_all(results)
    content = versions | {
        "summary": {
            name: {labels: summary._asdict() for labels, summary in by_labels.items()}
            for name, by_labels in summaries.items()
        },
        "rates": tried,
        "runs": results,
    }
    out = setup.out
    write_json(out / "results.json", content)
    write_csv(out / "results.csv", [result | versions for result in results])
    save_figure(out / "miou.png", summaries)
    description = describe(results, versions)
    tables = report_tables(results, tried)
    report = markdown_report(description, tables)
    write_text(out / "report.md", report)
    page = Page("Comparison")
    for line in description:
        page.note(line)
    page.section("mIoU over the number of labeled images")
    page.picture(out / "miou.png", "Bars: standard deviation over the seeds")
    for table in tables:
        page.section(table.title)
        page.table(table.heads, table.rows)
    page.write(out / "report.html")
    return content
