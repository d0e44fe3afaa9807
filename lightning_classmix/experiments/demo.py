"""Compare Supervised with ClassMix on generated street scenes."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lightning_classmix import ops
from lightning_classmix.atomic import write_json
from lightning_classmix.callbacks.stop_on_signal import StopOnSignal
from lightning_classmix.callbacks.validation_record import score_record
from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.colors import to_colors, to_picture
from lightning_classmix.datamodules.street_scenes import StreetScenesDataModule
from lightning_classmix.datasets.street_scenes import CLASS_NAMES, PALETTE
from lightning_classmix.experiments.demo_figure import save_report
from lightning_classmix.experiments.folder_lock import lock_folder
from lightning_classmix.experiments.report_page import Page
from lightning_classmix.experiments.report_scores import add_confusion
from lightning_classmix.models.small_unet import SmallUNet
from lightning_classmix.modules.classmix import ClassMix
from lightning_classmix.modules.supervised import Supervised
from lightning_classmix.ops.ranges import check_ranges

_SHOWN = (3, 7, 11, 19)  # test scenes in the picture
METHODS = {"supervised": (Supervised, 0.01), "classmix": (ClassMix, 0.01)}
"""Module and learning rate, chosen by benchmarks/street_scenes_rates.py."""


def demo(
    seed: int = 0,
    out: str = "demo",
    steps: int = 1500,
) -> None:
    """Train Supervised and ClassMix on the same generated street scenes, and compare.

    Both start from the same random weights and use the same labeled scenes, the same
    augmentation and the same number of steps, each with its best learning rate. Writes
    ``results.json``, ``report.png`` and ``report.html``. After a stop signal the same
    call continues from ``checkpoints``, which is deleted at the end.

    Args:
        seed: Seed for the scenes, the labeled subset, the weights and the training.
        out: Folder for the results; created if it does not exist.
        steps: Optimizer steps of each method.

    Raises:
        ValueError: If an argument is out of its range, or another process works in
            ``out``.
        Stopped: If a signal stopped the training.
    """
    check_ranges(steps=steps, seed=seed)
    folder = Path(out)
    with lock_folder(folder):
        data = StreetScenesDataModule(
            labeled=6, unlabeled=300, val=0, test=500, size=(64, 96), seed=seed
        )
        checkpoints = folder / "checkpoints"
        modules: dict[str, Any] = {}
        scores: dict[str, Mapping[str, float]] = {}
        minutes: dict[str, float | None] = {}
        for name, (method, lr) in METHODS.items():
            checkpoint = checkpoints / f"{name}-seed-{seed}-steps-{steps}.ckpt"
            resumed = checkpoint.exists()
            start = time.perf_counter()
            module, trainer = train(
                method, lr, data, seed=seed, steps=steps, checkpoint=checkpoint
            )
            elapsed = round((time.perf_counter() - start) / 60, 2)
            minutes[name] = None if resumed else elapsed
            scores[name] = trainer.test(module, data, verbose=False)[0]
            modules[name] = module

        results = _results(scores)
        results |= {"seed": seed, "steps": steps, "minutes": minutes}
        write_json(folder / "results.json", results)
        _save_picture(folder / "report.png", data, modules)
        _save_page(folder / "report.html", results, modules)
        shutil.rmtree(checkpoints)
    console = Console()
    console.print(_table(results))
    console.print(f"Written: results.json, report.png, report.html in {folder}")


def train(
    method: type[Supervised],
    lr: float,
    data: StreetScenesDataModule,
    *,
    seed: int,
    steps: int,
    checkpoint: Path | None = None,
) -> tuple[Supervised, Trainer]:
    """Train one method on street scenes, from the random weights of ``seed``.

    Args:
        method: `Supervised` or `ClassMix`.
        lr: Its learning rate.
        data: The scenes.
        seed: Decides the weights and all that is random in training.
        steps: Optimizer steps.
        checkpoint: File to resume from if it exists; written at the end and after a
            stop signal. None writes no file.

    Returns:
        The module, and the Trainer that trained it.
    """
    seed_everything(seed, verbose=False)
    module = method(
        len(CLASS_NAMES),
        network=SmallUNet(len(CLASS_NAMES)),
        lr=lr,
        class_names=CLASS_NAMES,
    )
    trainer = Trainer(
        max_steps=steps,
        devices=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        callbacks=[] if checkpoint is None else [StopOnSignal(checkpoint)],
        plugins=[AtomicCheckpointIO()],
    )
    resumed = checkpoint is not None and checkpoint.exists()
    trainer.fit(module, data, ckpt_path=checkpoint if resumed else None)
    if checkpoint is not None:
        trainer.save_checkpoint(checkpoint)
    return module, trainer


def _results(scores: dict[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return mIoU and IoU per class of both methods, and the gain, in points."""
    points = {
        name: {key: round(100 * value, 2) for key, value in test.items()}
        for name, test in scores.items()
    }
    miou = {name: test["test_miou"] for name, test in points.items()}
    return {
        **miou,
        "classmix_student": points["classmix"]["test_miou_student"],
        "gain": round(miou["classmix"] - miou["supervised"], 2),
        "iou": {
            name: {label: test[f"test_iou/{label}"] for label in CLASS_NAMES}
            for name, test in points.items()
        },
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(
        title=f"IoU on unseen street scenes, in points (seed {results['seed']})"
    )
    for column in ("class", "Supervised", "ClassMix", "difference"):
        table.add_column(column, justify="left" if column == "class" else "right")
    iou = results["iou"]
    for label, before in iou["supervised"].items():
        after = iou["classmix"][label]
        table.add_row(label, f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}")
    table.add_section()
    before, after = results["supervised"], results["classmix"]
    table.add_row("mIoU", f"{before:.1f}", f"{after:.1f}", f"{results['gain']:+.1f}")
    return table


def _save_page(path: Path, results: dict[str, Any], modules: dict[str, Any]) -> None:
    page = Page(
        "Supervised and ClassMix on generated street scenes",
        f"6 labeled and 300 unlabeled scenes, {results['steps']} steps, seed"
        f" {results['seed']}, 500 test scenes",
    )
    page.section("IoU per class, in points")
    supervised, classmix = (results["iou"][name] for name in METHODS)
    rows: list[list[object]] = [
        [name, before / 100, classmix[name] / 100, f"{classmix[name] - before:+.1f}"]
        for name, before in supervised.items()
    ]
    means = [results[name] / 100 for name in METHODS]
    rows.append(["mean over the classes", *means, f"{results['gain']:+.1f}"])
    page.table(["class", "Supervised", "ClassMix", "difference"], rows)
    page.section("Predictions for test scenes, and a mix being made")
    page.picture(path.with_name("report.png"), "Test scenes")
    for name, module in modules.items():
        add_confusion(page, score_record(module), title=name)
    page.write(path)


@torch.no_grad()
def _save_picture(
    path: Path, data: StreetScenesDataModule, modules: dict[str, Any]
) -> None:
    views = data.test_dataloader().dataset  # type: ignore[union-attr]

    def picture(image: Tensor) -> Any:
        return to_picture(image, mean=data.mean, std=data.std)

    scenes = []
    for index in _SHOWN:
        image, label = views[index]["image"], views[index]["label"]
        row = {"image": picture(image), "truth": to_colors(label, PALETTE)}
        for title, name in (("Supervised", "supervised"), ("ClassMix", "classmix")):
            predicted = modules[name].eval().cpu()(image[None]).argmax(1)[0]
            row[title] = to_colors(predicted, PALETTE)
        scenes.append(row)

    module = modules["classmix"]
    image = next(iter(data.train_dataloader()))[0]["unlabeled"]["image"]
    label = module.teacher(image).argmax(1)
    mask = module.mixer(label)
    mix = {
        "image A": picture(image[0]),
        "image B": picture(image[1]),
        "teacher's labels of A": to_colors(label[0], PALETTE),
        "mask": to_colors(mask[0].byte(), [(0, 0, 0), (255, 255, 255)]),
        "mixed image": picture(ops.mix(image, mask)[0]),
        "target": to_colors(ops.mix(label, mask)[0], PALETTE),
    }
    save_report(path, scenes, mix, class_names=CLASS_NAMES, palette=PALETTE)
