"""Compare pseudo-labels with the hidden truth, and measure upper bounds of ClassMix.

python benchmarks/diagnose.py ROOT --labels 12 --out diagnosis [--bound truth]

ROOT is a folder for FolderDataModule in which every image has a label (see
prepare_sets.py). ``--labels`` of them are used as labeled images, the others as
unlabeled ones. Their labels are hidden from the training, except with ``--bound``:

    truth   pseudo-labels are replaced by the true labels
    void    wrong pixels of the pseudo-labels are made void
    rare    only pixels of the rarer half of the classes are replaced by the truth

Prints the mIoU of the pseudo-labels at the start of mixing and every ``--every`` steps,
the recall and share of each class at the end, and the scores on the validation images,
and writes them to OUT/<bound>_<labels>_<seed>.json. ``--set NAME=VALUE`` sets arguments
of ClassMix.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Trainer, seed_everything
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lightning_classmix import ClassMix, FolderDataModule
from lightning_classmix.callbacks.pseudo_label_quality import PseudoLabelQuality
from lightning_classmix.experiments.compare_data import draw_lists, split_data
from lightning_classmix.modules.mixed import PseudoLabel
from lightning_classmix.ops import VOID


class Bounded(ClassMix):
    """ClassMix whose pseudo-labels are corrected by the true labels."""

    bound = "none"
    rare: Tensor

    def pseudo_label(self, unlabeled: dict[str, Tensor]) -> PseudoLabel:
        """Return the corrected pseudo-labels."""
        pseudo = super().pseudo_label(unlabeled)
        if self.bound == "none":
            return pseudo
        truth = unlabeled["label"]
        label = pseudo.label
        if self.bound == "truth":
            label = truth
        elif self.bound == "void":
            label = label.where((label == truth) & (truth != VOID), VOID)
        elif self.bound == "rare":
            label = truth.where(torch.isin(truth, self.rare), label)
        return pseudo._replace(label=label)


class HiddenLabels(FolderDataModule):
    """A folder whose unlabeled batches hold their true label, if ``with_labels``."""

    with_labels = False

    def train_dataloader(self) -> Any:
        """Let the unlabeled batches hold ``image`` and ``label``."""
        loaders = super().train_dataloader()
        if self.with_labels:
            loaders.iterables["unlabeled"].dataset.labeled = True
        return loaders


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and return the readings and scores."""
    seed_everything(arguments.seed, verbose=False)
    data = HiddenLabels(arguments.root, crop=arguments.crop)
    data.prepare_data()
    data.setup("fit")
    pool = data.labeled
    lists = arguments.out / "lists"
    draw_lists(data, [arguments.seed], lists)
    split_data(data, lists, labels=arguments.labels, seed=arguments.seed)
    names = data.unlabeled.names()
    index = {name: i for i, name in enumerate(pool.names())}
    hidden = pool.take([index[name] for name in names], pool.label_map)
    if arguments.bound != "none":
        data.with_labels = True
        data.unlabeled = hidden

    options = {"model": "small_unet", "encoder_weights": None}
    for setting in arguments.set:
        name, _, value = setting.partition("=")
        options[name] = yaml.safe_load(value)
    seed_everything(arguments.seed, verbose=False)
    module = Bounded(data.num_classes, class_names=data.class_names, **options)
    module.bound = arguments.bound
    counts = torch.zeros(data.num_classes)
    for i in range(len(data.labeled)):
        label = torch.as_tensor(data.labeled[i]["label"]).long()
        counts += torch.bincount(label[label != VOID], minlength=len(counts))
    module.rare = counts.argsort()[: len(counts) // 2]

    data.test = hidden
    quality = PseudoLabelQuality(data.test_dataloader(), every_n_steps=arguments.every)
    trainer = Trainer(
        max_steps=arguments.steps,
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[quality],
    )
    trainer.fit(module, data)
    at_end = {"step": trainer.global_step, **quality.read(module)}
    Trainer(logger=False).validate(module, data.val_dataloader(), verbose=False)
    scores = {name: score["miou"].item() for name, score in module.scores.items()}
    return {
        "settings": {key: str(value) for key, value in vars(arguments).items()},
        "class_names": list(data.class_names),
        "readings": [*quality.history, at_end],
        "validation": scores,
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console()
    table = Table(title="pseudo-labels against the truth, in points")
    for column in ("step", "mIoU"):
        table.add_column(column, justify="right")
    for reading in result["readings"]:
        table.add_row(str(reading["step"]), f"{100 * reading['miou']:.1f}")
    console.print(table)
    table = Table(title="at the end, in percent")
    for column in ("class", "true share", "share", "recall", "IoU"):
        table.add_column(column, justify="right")
    end = result["readings"][-1]
    for row, name in enumerate(result["class_names"]):
        keys = ("true_share", "share", "recall", "iou")
        table.add_row(name, *(f"{100 * end[key][row]:.1f}" for key in keys))
    console.print(table)
    for network, score in result["validation"].items():
        console.print(f"validation mIoU of the {network}: {100 * score:.1f}")


def main() -> None:
    """Run the diagnosis of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--labels", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--crop", type=int, nargs=2, default=(72, 96))
    parser.add_argument(
        "--bound", choices=("none", "truth", "void", "rare"), default="none"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = run(arguments)
    name = f"{arguments.bound}_{arguments.labels}_{arguments.seed}.json"
    (arguments.out / name).write_text(json.dumps(result, indent=1), encoding="utf-8")
    show(result)


if __name__ == "__main__":
    main()
