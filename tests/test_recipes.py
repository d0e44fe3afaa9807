"""The recipes of public data sets, run on small ones in their layouts."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lightning_classmix.cli import main
from lightning_classmix.data.splits import named_splits
from tests.images import make_cityscapes, make_voc

RECIPES = Path(__file__).parents[1] / "lightning_classmix/recipes"
SMALL = (
    "--data.split null --data.labeled 4 --data.crop [32,32] --data.num_workers 0"
    " --data.batch_size 2 --data.unlabeled_batch_size 2 --model.encoder resnet18"
    " --model.encoder_weights null --model.labeled_only_steps 1 --model.ramp_steps 0"
    " --trainer.max_steps 2 --trainer.val_check_interval 2 --trainer.accelerator cpu"
    " --trainer.enable_progress_bar false"
)


@pytest.mark.parametrize(
    ("name", "make", "more", "last_class"),
    [
        ("cityscapes", make_cityscapes, "--model.window [24,24]", "bicycle"),
        ("pascal_voc", make_voc, "", "tvmonitor"),
    ],
)
def test_a_public_data_set_is_trained_on_by_its_recipe(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    make: Callable[[Path], Path],
    more: str,
    last_class: str,
) -> None:
    make(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    line = f"fit --config {name} --data.root data {SMALL} {more}"
    monkeypatch.setattr(sys, "argv", ["classmix", *line.split()])
    main()
    assert last_class in capsys.readouterr().out
    run = Path("lightning_logs/version_0")
    assert len((run / "split.txt").read_text().splitlines()) == 4
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    (groups,) = [state["param_groups"] for state in saved["optimizer_states"]]
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    options = recipe["model"]["init_args"]
    rates = {options["lr"], options["lr"] * options["encoder_lr_factor"]}
    assert {group["initial_lr"] for group in groups} == rates
    assert {group["momentum"] for group in groups} == {0.9}


@pytest.mark.parametrize("name", ["cityscapes", "pascal_voc"])
def test_the_split_of_a_recipe_is_known(name: str) -> None:
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert recipe["data"]["init_args"]["split"] in named_splits(name)
