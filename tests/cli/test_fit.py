import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_classmix import (
    AtomicCheckpointIO,
)
from tests.images import make_camvid
from tests.shell import FIT, RECIPE, Shell, weights


def test_fit_prints_scores_and_the_paths_of_its_files(shell: Shell) -> None:
    status, out, _ = shell(FIT)
    assert status == 0
    run = shell.folder / "lightning_logs/version_0"
    assert f"run: {run}" in out
    assert f"last checkpoint: {run}/checkpoints/last.ckpt" in out
    (best,) = [line for line in out.splitlines() if "best checkpoint" in line]
    assert Path(best.split()[2]).is_file()
    assert "val_miou" in best
    assert "student" in out
    assert "teacher" in out


def test_checkpoints_are_written_atomically(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    save = AtomicCheckpointIO.save_checkpoint

    def noted(self: Any, content: Any, path: Path, **more: Any) -> None:
        written.append(Path(path).name)
        save(self, content, path, **more)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", noted)
    shell(FIT)
    assert "last.ckpt" in written


def test_class_count_and_names_come_from_the_data(shell: Shell) -> None:
    shell(FIT, "--data.class_names", "[sky,road,tree]")
    saved = torch.load("lightning_logs/version_0/checkpoints/last.ckpt")
    assert saved["hyper_parameters"]["num_classes"] == 3
    assert saved["hyper_parameters"]["class_names"] == ["sky", "road", "tree"]


@pytest.mark.slow
def test_the_saved_config_reproduces_the_run(shell: Shell) -> None:
    shell(FIT, "--seed_everything", "7", "--model.lr", "0.02")
    assert shell("fit --config lightning_logs/version_0/config.yaml")[0] == 0
    one, other = (
        weights(Path(f"lightning_logs/version_{n}/checkpoints/last.ckpt"))
        for n in (0, 1)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_model_class_keeps_the_arguments_it_shares_with_the_recipe(
    shell: Shell,
) -> None:
    status, out, _ = shell(FIT, "--model", "Supervised", "--model.lr", "0.5")
    assert status == 0
    assert "teacher" not in out
    saved = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert saved["model"]["class_path"].endswith("Supervised")
    assert saved["model"]["init_args"]["lr"] == 0.5


def test_flags_before_the_recipe_precede_it(shell: Shell) -> None:
    shell("fit --data.root data --model.lr 0.25 --config recipe.yaml")
    saved = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert saved["model"]["init_args"]["lr"] == 0.25


def test_a_number_of_classes_that_contradicts_the_data_is_refused(shell: Shell) -> None:
    last = shell.fails(f"{FIT} --model.num_classes 4")
    assert "model.num_classes must be that of the data, 3, got 4" in last
    assert shell(f"{FIT} --model.num_classes 3")[0] == 0


@pytest.mark.slow
def test_model_arguments_that_contradict_the_data_are_refused(shell: Shell) -> None:
    last = shell.fails(f"{FIT} --model.mean [0,0,0]")
    assert "model.mean must be that of the data" in last
    Path("own_data.py").write_text(OWN_DATA)
    shell.monkeypatch.syspath_prepend(str(shell.folder))
    line = f"fit --config own.yaml --data own_data.OwnData --model.mean {MEAN}"
    recipe = {part: RECIPE[part] for part in ("model", "trainer")}
    shell.write("own.yaml", recipe)
    assert "must have the attribute num_classes" in shell.fails(line)
    assert shell(f"{line} --model.num_classes 3")[0] == 0
    saved = torch.load("lightning_logs/version_0/checkpoints/last.ckpt")
    assert saved["hyper_parameters"]["mean"] == [0.25, 0.25, 0.25]


MEAN = "[0.25,0.25,0.25]"
OWN_DATA = """
from lightning.pytorch import LightningDataModule
from tests import tiny


class OwnData(LightningDataModule):
    def __init__(self):
        super().__init__()
        self.inner = tiny.data()

    def setup(self, stage):
        self.inner.setup(stage)

    def train_dataloader(self):
        return self.inner.train_dataloader()

    def val_dataloader(self):
        return self.inner.val_dataloader()
"""


@pytest.mark.slow
def test_a_mean_of_the_data_that_is_not_the_default_is_used(shell: Shell) -> None:
    line = f"{FIT} --data.mean [0.2,0.3,0.4] --data.std [0.5,0.5,0.5]"
    status, _, errors = shell(line)
    assert status == 0, errors
    last = "lightning_logs/version_0/checkpoints/last.ckpt"
    saved = torch.load(last)["hyper_parameters"]
    assert saved["mean"] == [0.2, 0.3, 0.4]
    assert saved["std"] == [0.5, 0.5, 0.5]
    for more in ("--model.mean [0.2,0.3,0.4]", f"--ckpt_path {last}"):
        status, _, errors = shell(f"{line} {more} --trainer.max_steps 5")
        assert status == 0, errors


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_mean_or_standard_deviation_that_contradicts_the_data_is_refused(
    shell: Shell, name: str
) -> None:
    line = f"{FIT} --data.{name} [0.2,0.3,0.4] --model.{name} [0.5,0.5,0.5]"
    last = shell.fails(line)
    message = f"model.{name} must be that of the data, [0.2, 0.3, 0.4], got"
    assert f"{message} [0.5, 0.5, 0.5]; leave it out" in last


def test_class_names_and_paths_with_brackets_are_printed_unchanged(
    shell: Shell,
) -> None:
    _, out, _ = shell(
        f"{FIT} --trainer.default_root_dir a[b] --data.class_names",
        '["[/b]", "[red]", "x"]',
    )
    assert "run: a[b]/lightning_logs/version_0" in out
    assert "[/b]" in out
    assert "[red]" in out


def test_a_run_without_validation_is_validated_at_its_end(shell: Shell) -> None:
    status, out, _ = shell(f"{FIT} --trainer.val_check_interval 50")
    assert status == 0
    assert "mIoU" in out


@pytest.mark.slow
def test_a_recipe_defines_an_albumentations_pipeline(shell: Shell) -> None:
    crop = {"height": 8, "width": 8}
    steps = [
        {"class_path": "albumentations.RandomCrop", "init_args": crop},
        {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 0.5}},
    ]
    pipeline = {
        "class_path": "albumentations.Compose",
        "init_args": {"transforms": steps},
    }
    recipe = copy.deepcopy(RECIPE)
    recipe["data"]["init_args"] |= {"root": "data", "transform": pipeline}
    shell.write("own.yaml", recipe)
    assert shell("fit --config own.yaml")[0] == 0
    assert shell("fit --config lightning_logs/version_0/config.yaml")[0] == 0


@pytest.mark.slow
def test_the_camvid_recipe_trains(shell: Shell) -> None:
    make_camvid(Path("camvid"))
    status, out, _ = shell(
        "fit --config camvid --data.root camvid --data.labeled 4 --data.crop [32,32]"
        " --data.size [24,32] --model.encoder_weights null --trainer.fast_dev_run 1"
        " --data.num_workers 0 --trainer.accelerator cpu"
    )
    assert status == 0
    assert "Bicyclist" in out
