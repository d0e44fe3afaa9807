"""Score finished runs on held-out and validation images, and on both together.

python benchmarks/real_images/held_out.py SET OUT METHOD...

SET is the folder of a data set, and OUT that of ``classmix compare``, whose held-out
images no run trains on. Prints the mIoU of each network and seed, in points, and its
paired difference to Supervised; then the mean of the differences over the seeds, ± its
standard error.
"""

import logging
import sys
from pathlib import Path

import candidates  # noqa: F401  # to load their checkpoints
import numpy as np
import torch
from PIL import Image
from table import with_error
from torchmetrics.classification import MulticlassJaccardIndex

from lightning_classmix import Predictor
from lightning_classmix.experiments.compare_results import summarize
from lightning_classmix.ops import VOID

PARTS = "held_out", "validation", "both"


def mious(predictor: Predictor, *parts: list[tuple[Path, Path]]) -> list[float]:
    """Return the mIoU of each list of images and labels and of all, in points."""
    metrics = [
        MulticlassJaccardIndex(predictor.module.num_classes, ignore_index=VOID)
        for _ in range(len(parts) + 1)
    ]
    for metric, pairs in zip(metrics, parts, strict=False):
        for image, label in pairs:
            truth = torch.from_numpy(np.array(Image.open(label)))[None]
            predicted = predictor(image)[None]
            metric.update(predicted, truth)
            metrics[-1].update(predicted, truth)
    return [100 * float(metric.compute()) for metric in metrics]


def scores(checkpoint: Path, root: Path, names: list[str]) -> dict[str, list[float]]:
    """Return the scores of each network of a run, in the order of `PARTS`."""
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    images = {path.stem: path for path in sorted((root / "images").iterdir())}
    held_out = [(images[name], root / f"labels/{name}.png") for name in names]
    validation = [
        (path, root / f"val/labels/{path.stem}.png")
        for path in sorted((root / "val/images").iterdir())
    ]
    networks = [n for n in ("student", "teacher") if hasattr(predictor.module, n)]
    result = {}
    for network in networks:
        predictor.module.evaluate = network
        result[network] = mious(predictor, held_out, validation)
    return result


def mean_gains(by_seed: dict[int, list[float]]) -> list[str]:
    """Return the mean over the seeds and its standard error, for each of `PARTS`."""
    zero = dict.fromkeys(by_seed, 0.0)
    cells = []
    for part in range(len(PARTS)):
        summary = summarize({seed: by_seed[seed][part] for seed in by_seed}, zero)
        cells.append(with_error(summary.mean, summary.standard_error, "+"))
    return cells


def main() -> None:
    """Print a row for each method, network and seed."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    names = (out / "lists/held_out.txt").read_text(encoding="utf-8").split()
    print(f"| method | network | seed | {' | '.join(PARTS)} |")
    print(f"|{' --- |' * (3 + len(PARTS))}")
    baseline: dict[str, list[float]] = {}
    gains: dict[str, dict[int, list[float]]] = {}
    for method in ("supervised", *sys.argv[3:]):
        runs = sorted((out / "runs" / method).glob("*/last.ckpt"))
        fewest = min(int(run.parent.name.split("-")[0]) for run in runs)
        for run in runs:
            labels, seed = run.parent.name.split("-labels-seed-")
            if int(labels) > fewest:
                continue
            for network, values in scores(run, root, names).items():
                cells = [f"{value:.1f}" for value in values]
                before = baseline.setdefault(seed, values)
                if before is not values:
                    gain = [a - b for a, b in zip(values, before, strict=True)]
                    gains.setdefault(f"{method} | {network}", {})[int(seed)] = gain
                    cells = [
                        f"{c} ({g:+.1f})" for c, g in zip(cells, gain, strict=True)
                    ]
                print(f"| {method} | {network} | {seed} | {' | '.join(cells)} |")
    for name, by_seed in gains.items():
        cells = mean_gains(by_seed)
        print(f"| {name} | mean of {len(by_seed)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
