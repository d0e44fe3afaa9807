"""Train one run of the laboratory: a plain loop over the package's ops, data in memory.

python benchmarks/laboratory/train.py SOURCE --set msrc21 --method ssl --seed 0

SOURCE holds the data sets as benchmarks/prepare_sets.py describes them. The scores of
student and teacher on the validation images and on held-out training images are
printed, and written to benchmarks/laboratory/results/<set>_<tag>_<labels>_s<seed>.json.
The loop is faster than ``classmix compare`` on one core, because images are read once.
"""

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from lightning_classmix import ops
from lightning_classmix.augment import StrongAugment
from lightning_classmix.datasets.subsets import covering_order
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightning_classmix.models.build import build_model
from lightning_classmix.ops import VOID

sys.path.insert(0, str(Path(__file__).parents[1]))
from prepare_sets import LABELS, read_label, size_of

SETS: dict[str, dict[str, Any]] = {
    "camvid": {"classes": 11, "few": 12, "crop": (72, 96), "steps": 3000},
    "msrc21": {"classes": 21, "few": 60, "crop": (72, 96), "steps": 800},
    "magnetic_tile": {"classes": 2, "few": 30, "crop": (96, 72), "steps": 800},
}
RATES = {"camvid": 3e-3, "msrc21": 1e-3, "magnetic_tile": 1e-3}
MEAN, STD = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))

Item = tuple[Tensor, Tensor, Tensor]
"""Image, label at the size of the image, and label at twice that size."""


def read(source: Path, dataset: str, part: str, height: int) -> list[Item]:
    """Read the images and labels of one part of a data set, resized."""
    folder = LABELS[dataset][("train", "val").index(part)]
    items = []
    for path in sorted((source / dataset / part).iterdir()):
        image = Image.open(path).convert("RGB")
        width, tall = size_of(image, height)
        label = read_label(source / dataset / folder / f"{path.stem}.png", dataset)
        image = image.resize((width, tall), Image.Resampling.BILINEAR)
        sizes = [(k * width, k * tall) for k in (1, 2)]
        labels = [label.resize(size, Image.Resampling.NEAREST) for size in sizes]
        once, twice = (torch.from_numpy(np.array(resized)) for resized in labels)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        items.append((pixels, once, twice))
    return items


def tile_indices(names: list[str]) -> tuple[list[int], list[int]]:
    """Return the images of every fifth tile, and the others.

    Exposures of a tile follow each other in the numbers of the files.
    """
    kinds = [name.split("_")[0] for name in names]
    numbers = [int(name.rsplit("_", 1)[1]) for name in names]
    order = sorted(range(len(names)), key=lambda i: (kinds[i], numbers[i]))
    tiles: list[list[int]] = []
    for i in order:
        last = tiles[-1][-1] if tiles else None
        if last is None or kinds[i] != kinds[last] or numbers[i] - numbers[last] > 100:
            tiles.append([])
        tiles[-1].append(i)
    held_out = sorted(i for tile in tiles[::5] for i in tile)
    return held_out, sorted({*range(len(names))} - {*held_out})


def split_indices(dataset: str, names: list[str]) -> tuple[list[int], list[int]]:
    """Return the held-out training images and the others.

    Neighboring frames of CamVid and exposures of a tile are near copies of each other,
    so that whole stretches of them are held out.
    """
    count = len(names)
    if dataset == "camvid":
        blocks = [range(i, min(i + 20, count)) for i in range(0, count, 20)]
        chosen = np.random.default_rng(0).permutation(len(blocks))[:3]
        held_out = sorted(i for block in chosen for i in blocks[block])
        near = {j for i in held_out for j in range(i - 4, i + 5)}
        return held_out, [i for i in range(count) if i not in near]
    if dataset == "magnetic_tile":
        return tile_indices(names)
    order = np.random.default_rng(0).permutation(count).tolist()
    return sorted(order[:40]), sorted(order[40:])


class Views:
    """Batches of images with random scale, crop, flip and color jitter."""

    def __init__(
        self, items: list[Item], indices: list[int], crop: tuple[int, int], seed: int
    ) -> None:
        self.items, self.indices, self.crop = items, indices, crop
        self.generator = torch.Generator().manual_seed(seed)
        self.order: list[int] = []

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalized images, labels and valid pixels of the next images."""
        crops = [self._crop(self._next()) for _ in range(count)]
        image = torch.stack([crop[0] for crop in crops])
        label = torch.stack([crop[1] for crop in crops])
        padded = (label == VOID + 1)[:, None]
        draws = torch.rand(count, 3, 1, 1, 1, generator=self.generator)
        factor = 1 + (2 * draws - 1) * 0.25
        image = image * factor[:, 0]
        mean = image.mean((1, 2, 3), keepdim=True)
        image = (image - mean) * factor[:, 1] + mean
        gray = image.mean(1, keepdim=True)
        image = gray + (image - gray) * factor[:, 2]
        image = ((image.clamp(0, 1) - MEAN) / STD).masked_fill(padded, 0)
        valid = ~padded[:, 0]
        return image, label.where(valid, torch.tensor(VOID)), valid

    def _next(self) -> Item:
        if not self.order:
            count = len(self.indices)
            self.order = torch.randperm(count, generator=self.generator).tolist()
        return self.items[self.indices[self.order.pop()]]

    def _crop(self, item: Item) -> tuple[Tensor, Tensor]:
        image, label, _ = item
        height, width = self.crop
        draws = torch.rand(4, generator=self.generator).tolist()
        scale = math.exp(math.log(0.5) + draws[0] * math.log(4))
        size = [max(8, round(side * scale)) for side in label.shape]
        pixels = functional.interpolate(
            image[None].float(), size, mode="bilinear", antialias=scale < 1
        )
        classes = functional.interpolate(
            label[None, None].float(), size, mode="nearest-exact"
        )
        pad = (0, max(0, width - size[1]), 0, max(0, height - size[0]))
        x = functional.pad(pixels[0] / 255, pad, value=-1)
        y = functional.pad(classes[0, 0].long(), pad, value=VOID + 1)
        top = int(draws[1] * (x.shape[1] - height + 1))
        left = int(draws[2] * (x.shape[2] - width + 1))
        x = x[:, top : top + height, left : left + width]
        y = y[top : top + height, left : left + width]
        return (x.flip(-1), y.flip(-1)) if draws[3] < 0.5 else (x, y)


@torch.no_grad()
def class_iou(network: nn.Module, items: list[Item], classes: int) -> list[float]:
    """Return the IoU of each class in points, at twice the size of the images."""
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    network.eval()
    for image, _, label in items:
        logits = network((image.float()[None] / 255 - MEAN) / STD)
        logits = functional.interpolate(logits, label.shape, mode="bilinear")
        truth = label.long()
        known = truth < classes
        pairs = truth[known] * classes + logits.argmax(1)[0][known]
        confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
    right = confusion.diag()
    return (100 * right / (confusion.sum(0) + confusion.sum(1) - right)).tolist()


def mean_iou(iou: list[float]) -> float:
    """Return the mean over the classes that occur, in points."""
    return round(torch.tensor(iou).nanmean().item(), 2)


def masked_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted cross-entropy over the pixels that are not void."""
    loss = functional.cross_entropy(logits, label, ignore_index=VOID, reduction="none")
    known = (label != VOID).float()
    return (loss * known * weight).sum() / known.sum().clamp(min=1)


def set_momentum(network: nn.Module, momentum: float) -> None:
    """Set the share of the present batch in running statistics."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum


def recalibrated(network: nn.Module, views: Views) -> nn.Module:
    """Return a copy with the statistics of 100 batches of 8 images."""
    network = copy.deepcopy(network)
    update_bn((views.draw(8)[0] for _ in range(100)), network)
    return network


class Run:
    """One training, with everything it draws from its seed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        spec = SETS[arguments.set]
        self.classes, crop = spec["classes"], spec["crop"]
        self.steps = arguments.steps or spec["steps"]
        crop = tuple(side * arguments.height // 72 for side in crop)
        self.train = read(arguments.source, arguments.set, "train", arguments.height)
        self.val = read(arguments.source, arguments.set, "val", arguments.height)
        self.held_out, rest = split_indices(
            arguments.set,
            sorted(
                p.stem for p in (arguments.source / arguments.set / "train").iterdir()
            ),
        )
        present = np.zeros((len(rest), 256), bool)
        for row, index in zip(present, rest, strict=True):
            row[np.unique(self.train[index][1].numpy())] = True
        present[:, VOID] = False
        seed = arguments.seed
        order = [rest[i] for i in covering_order(present, seed=seed)]
        labeled = rest if arguments.labels == "all" else order[: spec["few"]]
        self.unlabeled = [i for i in rest if i not in {*labeled}] or rest
        torch.manual_seed(seed)
        if arguments.model == "small_unet":
            self.student: nn.Module = build_model(
                "small_unet", "", self.classes, options={"width": 16}
            )
        else:
            weights = str(arguments.weights)
            self.student = build_model(
                arguments.model,
                "mobilenet_v2",
                self.classes,
                encoder_weights=weights,
                options=json.loads(arguments.options),
            ).to(memory_format=torch.channels_last)
        self.teacher = copy.deepcopy(self.student)
        self.lr = arguments.lr or RATES[arguments.set]
        encoder = [p for n, p in self.student.named_parameters() if "encoder" in n]
        other = [p for n, p in self.student.named_parameters() if "encoder" not in n]
        groups = [{"params": other, "factor": 1.0}]
        if encoder:
            groups.append({"params": encoder, "factor": arguments.encoder_factor})
        self.optimizer = torch.optim.AdamW(groups, lr=self.lr, weight_decay=0.01)
        self.strong = StrongAugment(IMAGENET_MEAN, IMAGENET_STD)
        self.labeled_views = Views(self.train, labeled, crop, 1000 * seed + 1)
        self.unlabeled_views = Views(self.train, self.unlabeled, crop, 1000 * seed + 2)
        self.mixing = torch.Generator().manual_seed(1000 * seed + 3)
        self.history: list[list[float]] = []

    def fit(self) -> None:
        """Train the student; the teacher is its moving average in every method."""
        options = self.arguments
        start = int(options.start * self.steps)
        ramp = max(1, int(options.ramp * self.steps))
        for step in range(self.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * group["factor"] * ops.poly(step, self.steps)
            image, label, _ = self.labeled_views.draw(4)
            self.student.train()
            ones = torch.ones(label.shape)
            factor = 0.0
            if options.method == "ssl" and step >= start:
                factor = ops.sigmoid_ramp(step - start, ramp)
                if options.rampdown:
                    left = (self.steps - step) / (options.rampdown * self.steps)
                    factor *= min(1.0, max(0.0, left - options.finish))
            if factor > 0:
                mixed, target, weight = self._mix(step, image, label)
                loss = masked_cross_entropy(self.student(image), label, ones)
                set_momentum(self.student, 0.0 if options.bn == "labeled" else 0.1)
                mixed_loss = masked_cross_entropy(self.student(mixed), target, weight)
                set_momentum(self.student, 0.1)
                loss = loss + factor * mixed_loss
                if (step - start) % 300 == 0:
                    hidden = [self.train[i] for i in self.unlabeled[::4]]
                    quality = mean_iou(class_iou(self.teacher, hidden, self.classes))
                    share = round(weight.mean().item(), 3)
                    self.history.append([step, quality, share])
            else:
                loss = masked_cross_entropy(self.student(image), label, ones)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self._update_teacher(step)

    @torch.no_grad()
    def _mix(
        self, step: int, labeled: Tensor, true_label: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        options = self.arguments
        image, truth, valid = self.unlabeled_views.draw(4)
        self.teacher.train(options.mode == "train")
        probabilities = self.teacher(image).softmax(1)
        if options.flips:
            self.teacher.eval()
            mirrored = self.teacher(image.flip(-1)).flip(-1).softmax(1)
            probabilities = (probabilities + mirrored) / 2
        confidence, label = probabilities.max(1)
        if options.bound == "truth":
            label = truth.where(truth < self.classes, torch.tensor(VOID))
        label = label.where(valid, torch.tensor(VOID))
        weight = torch.ones_like(confidence)
        sure = ((confidence >= options.threshold) & valid).float()
        if options.weight == "share":
            weight *= sure.sum() / valid.sum()
        elif options.weight == "pixel":
            weight = sure
        elif options.weight == "confidence":
            weight = confidence.clone()
        mask = ops.classmix_mask(label, self.classes, generator=self.mixing)
        mixed, target, w = (ops.mix(part, mask) for part in (image, label, weight))
        n = round(options.paste * len(image))
        if n:
            pasted = ops.classmix_mask(
                true_label, self.classes, rounding="ceil", generator=self.mixing
            )[:n]
            mixed[:n] = labeled[:n].where(pasted[:, None], image[:n])
            target[:n] = true_label[:n].where(pasted, label[:n])
            w[:n] = weight[:n].masked_fill(pasted, 1)
        torch.manual_seed(10_000 * options.seed + step)
        return self.strong(mixed), target, w

    @torch.no_grad()
    def _update_teacher(self, step: int) -> None:
        decay = ops.ema_decay(step, self.arguments.decay)
        teacher, student = self.teacher.state_dict(), self.student.state_dict()
        own = self.arguments.own and step >= int(self.arguments.start * self.steps)
        for name, average in teacher.items():
            value = student[name]
            if own and ("running_" in name or "num_batches" in name):
                continue
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def scores(self, network: nn.Module) -> dict[str, Any]:
        """Return mIoU and IoU of the classes on both lists."""
        held_out = [self.train[i] for i in self.held_out]
        scores: dict[str, Any] = {}
        for name, items in (("validation", self.val), ("held_out", held_out)):
            iou = class_iou(network, items, self.classes)
            scores[name] = mean_iou(iou)
            scores[f"{name}_iou"] = [round(v, 1) if v == v else None for v in iou]
        return scores


def main() -> None:
    """Train the run of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2")
    parser.add_argument("--method", choices=("supervised", "ssl"), default="supervised")
    parser.add_argument("--labels", choices=("few", "all"), default="few")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--start", type=float, default=0.15, help="share of the run")
    parser.add_argument("--ramp", type=float, default=0.1, help="share of the run")
    parser.add_argument("--decay", type=float, default=0.99)
    parser.add_argument(
        "--weight",
        choices=("uniform", "share", "pixel", "confidence"),
        default="uniform",
    )
    parser.add_argument("--mode", choices=("eval", "train"), default="eval")
    parser.add_argument("--threshold", type=float, default=0.968)
    parser.add_argument("--height", type=int, default=72)
    parser.add_argument("--encoder-factor", type=float, default=1.0)
    parser.add_argument(
        "--rampdown", type=float, default=0.0, help="share of the run in which λ falls"
    )
    parser.add_argument("--finish", type=float, default=0.0, help="share of that at 0")
    parser.add_argument(
        "--bn",
        choices=("both", "labeled"),
        default="both",
        help="images from which the student's batch norm collects statistics",
    )
    parser.add_argument(
        "--own",
        action="store_true",
        help="the teacher keeps the statistics that it collects with --mode train",
    )
    parser.add_argument("--model")
    parser.add_argument("--options", default="{}")
    parser.add_argument(
        "--paste", type=float, default=0.0, help="share of mixes with a labeled image"
    )
    parser.add_argument("--flips", action="store_true", help="average two labelings")
    parser.add_argument("--bound", choices=("none", "truth"), default="none")
    parser.add_argument("--tag", help="name of the run in the file name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.model:
        arguments.model = "small_unet" if arguments.set == "camvid" else "fpn"
    begin = time.perf_counter()
    run = Run(arguments)
    run.fit()
    result = {
        "settings": {key: str(value) for key, value in vars(arguments).items()},
        "student": run.scores(run.student),
        "teacher": run.scores(run.teacher),
        "student_recalibrated": run.scores(
            recalibrated(run.student, run.unlabeled_views)
        ),
        "pseudo_labels": run.history,
        "seconds": round(time.perf_counter() - begin),
    }
    del result["settings"]["source"], result["settings"]["out"]
    del result["settings"]["weights"]
    tag = arguments.tag or arguments.method
    name = f"{arguments.set}_{tag}_{arguments.labels}_s{arguments.seed}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    scores = [
        f"{network} {result[network]['validation']} / {result[network]['held_out']}"
        for network in ("student", "teacher", "student_recalibrated")
    ]
    print(name, *scores, f"{result['seconds']} s")


if __name__ == "__main__":
    main()
