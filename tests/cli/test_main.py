import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lightning_classmix import (
    AtomicCheckpointIO,
    ClassMix,
    FolderDataModule,
    Supervised,
)
from lightning_classmix.cli.main import main
from tests import tiny
from tests.images import make_camvid, make_folder, save_pair

CONV = {"in_channels": 3, "out_channels": 3, "kernel_size": 1}
RECIPE: dict[str, Any] = {
    "data": {
        "class_path": "FolderDataModule",
        "init_args": {"crop": [16, 16], "batch_size": 2, "num_workers": 0},
    },
    "model": {
        "class_path": "ClassMix",
        "init_args": {
            "network": {"class_path": "torch.nn.Conv2d", "init_args": CONV},
            "labeled_only_steps": 1,
            "ramp_steps": 0,
        },
    },
    "trainer": {
        "max_steps": 4,
        "val_check_interval": 2,
        "check_val_every_n_epoch": None,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "callbacks": [
            {
                "class_path": "ModelCheckpoint",
                "init_args": {"monitor": "val_miou", "mode": "max"},
            }
        ],
    },
}


class Shell:
    """Runs ``classmix`` in a folder that holds a data set and a recipe."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        self.write("recipe.yaml", RECIPE)

    def write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content))

    def __call__(self, line: str, *more: str) -> tuple[int, str, str]:
        """Return exit status, output and errors."""
        arguments = ["classmix", *line.split(), *more]
        self.monkeypatch.setattr(sys, "argv", arguments)
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *self.capsys.readouterr()

    def fails(self, line: str, *more: str) -> str:
        """Run what must fail, and return the last line."""
        status, _, errors = self(line, *more)
        assert status > 0
        assert "Traceback" not in errors
        return str(errors.splitlines()[-1])


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    make_folder(tmp_path / "data")
    return Shell(tmp_path, monkeypatch, capsys)


FIT = "fit --config recipe.yaml --data.root data"


def weights(path: Path) -> Any:
    return torch.load(path, weights_only=True)["state_dict"]


def test_fit_ends_with_scores_and_the_places_of_everything(shell: Shell) -> None:
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


def test_checkpoints_of_the_command_line_are_whole_or_not_there(
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


def test_the_saved_config_reproduces_the_run(shell: Shell) -> None:
    shell(FIT, "--seed_everything", "7", "--model.lr", "0.02")
    assert shell("fit --config lightning_logs/version_0/config.yaml")[0] == 0
    one, other = (
        weights(Path(f"lightning_logs/version_{n}/checkpoints/last.ckpt"))
        for n in (0, 1)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_model_takes_what_it_knows_of_the_recipe(shell: Shell) -> None:
    status, out, _ = shell(FIT, "--model", "Supervised", "--model.lr", "0.5")
    assert status == 0
    assert "teacher" not in out
    saved = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert saved["model"]["class_path"].endswith("Supervised")
    assert saved["model"]["init_args"]["lr"] == 0.5


@pytest.mark.parametrize("name", ["camvid", "street_scenes", "folder"])
def test_packaged_recipes_are_known_by_name(shell: Shell, name: str) -> None:
    root = "" if name == "street_scenes" else "--data.root data"
    status, out, _ = shell(f"fit --config {name} {root} --print_config")
    assert status == 0
    assert yaml.safe_load(out)["model"]["class_path"].endswith("ClassMix")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("fit --help", ["--model.help", "--data.help", "--trainer.max_steps"]),
        ("--help", ["fit", "predict", "demo", "camvid", "--model.help ClassMix"]),
        (
            "fit --model.help ClassMix",
            ["--model.ramp_steps", "--model.encoder", "--model.lr"],
        ),
        ("fit --data.help CamVidDataModule", ["--data.labeled", "--data.crop"]),
        ("fit --data.help FolderDataModule", ["--data.num_classes", "--data.predict"]),
        ("demo --help", ["--seed", "--out"]),
    ],
)
def test_help_names_the_arguments(shell: Shell, command: str, named: list[str]) -> None:
    status, out, _ = shell(command)
    assert status == 0
    assert not [name for name in named if name not in out]
    assert len(out) < 40_000  # no lists of every class that torch has


def test_every_argument_of_the_classes_has_its_meaning(shell: Shell) -> None:
    for part, name in (
        ("model", "ClassMix"),
        ("model", "Supervised"),
        ("data", "CamVidDataModule"),
        ("data", "FolderDataModule"),
        ("data", "StreetScenesDataModule"),
    ):
        _, out, _ = shell(f"fit --{part}.help {name}")
        entries = out.partition("Help for")[2].split(f"\n  --{part}.")[1:]
        assert len(entries) > 10
        for entry in entries:
            text = (
                entry.partition("\n")[2]
                if "  " not in entry.partition("\n")[0]
                else entry
            )
            meaning = " ".join(text.split()).partition("(")[0]
            assert len(meaning) > 8, entry


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--model.lrr 3", ["model.lrr is not an argument of ClassMix", "lr"]),
        ("--model.lr abc", ["model.lr must be float", "abc"]),
        ("--model.mixer clasmix", ["model.mixer", "did you mean classmix"]),
        ("--model ClasMix", ["model must name a class", "did you mean ClassMix"]),
        ("--model.encoder resnet55 --model.network null", ["encoder", "resnet50"]),
        ("--model.lr -1", ["lr must be at least 0, got -1.0"]),
        ("--data FolderData", ["data must name", "FolderDataModule"]),
        ("--data.rot x", ["data.rot is not an argument", "root"]),
        ("--data.root nowhere", ["root must be a folder, got nowhere"]),
        ("--trainer.max_stepz 3", ["trainer.max_stepz", "trainer.max_steps"]),
        ("--trainer.accelerator tpuu", ["tpuu"]),
        ("--modle.lr 3", ["modle.lr is not an argument", "model"]),
        ("--data.num_workers -1", ["num_workers must be at least 0, got -1"]),
        ("--data.jitter 3", ["jitter must be in [0, 1], got 3"]),
        ("--config camvit", ["config must be a file or one of", "mean camvid?"]),
        ("--ckpt_path nowhere.ckpt", ["ckpt_path must be a file", "nowhere.ckpt"]),
        ("--model.encoder_weights a/b.pth --model.network null", ["a/b.pth"]),
    ],
)
def test_a_mistaken_flag_ends_in_the_key_and_the_nearest_names(
    shell: Shell, flags: str, told: list[str]
) -> None:
    last = shell.fails(f"{FIT} {flags}")
    assert not [part for part in told if part not in last], last


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("model", {"init_args": {"lrr": 1}}, ["model.lrr", "did you mean lr"]),
        ("model", {"init_arg": {"lr": 1}}, ["init_arg", "init_args"]),
        ("model", {"class_path": "Supervized"}, ["model", "Supervised"]),
        ("data", {"init_args": {"siz": 3}}, ["data.siz", "size"]),
        ("trainer", {"max_stepz": 3}, ["trainer.max_stepz", "trainer.max_steps"]),
        ("trainer", {"callbacks": [{"class_path": "EarlyStoping"}]}, ["EarlyStopping"]),
        ("modell", {"class_path": "ClassMix"}, ["modell", "model"]),
        ("seed_everythin", 3, ["seed_everythin", "seed_everything"]),
    ],
)
def test_a_mistake_in_a_recipe_ends_in_the_key_and_the_nearest_names(
    shell: Shell,
    part: str,
    change: Any,
    told: list[str],
) -> None:
    if part in ("model", "data"):
        change = {"class_path": RECIPE[part]["class_path"]} | change
    shell.write("wrong.yaml", RECIPE | {part: change})
    last = shell.fails("fit --config wrong.yaml --data.root data")
    assert not [name for name in told if name not in last], last


def test_a_file_that_is_no_yaml_is_named(shell: Shell) -> None:
    Path("wrong.yaml").write_text("data: [")
    assert "wrong.yaml" in shell.fails("fit --config wrong.yaml")


@pytest.mark.parametrize("command", ["fitt", ""])
def test_commands_are_told(shell: Shell, command: str) -> None:
    last = shell.fails(command)
    assert "fit, validate, test, predict, demo" in last


def test_a_mistake_in_the_demo_is_told_alike(shell: Shell) -> None:
    last = shell.fails("demo --sed 3")
    assert "sed is not an argument; did you mean seed" in last


def test_a_missing_argument_is_named(shell: Shell) -> None:
    assert "data.root must be given" in shell.fails("fit --data FolderDataModule")
    assert "data must be given" in shell.fails("fit")


def test_a_fault_in_the_code_keeps_its_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        int("no number")

    monkeypatch.setattr(Supervised, "configure_optimizers", fault)
    with pytest.raises(ValueError, match="invalid literal"):
        shell(FIT)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_unlabeled_image_is_named_when_it_is_met(
    shell: Shell, workers: int
) -> None:
    Path("data/unlabeled/u2.png").write_bytes(b"no image")
    last = shell.fails(f"{FIT} --data.num_workers {workers}")
    assert "an image must be readable, got data/unlabeled/u2.png" in last


def test_another_class_count_than_the_data_have_is_an_error(shell: Shell) -> None:
    last = shell.fails(f"{FIT} --model.num_classes 4")
    assert "model.num_classes must be that of the data, 3, got 4" in last
    assert shell(f"{FIT} --model.num_classes 3")[0] == 0


def test_flags_win_over_the_checkpoint_and_it_over_the_recipe(shell: Shell) -> None:
    shell(
        FIT, "--model.threshold", "0.5", "--model.lr", "0.25", "--data.size", "[20,24]"
    )
    shell(f"{FIT} --ckpt_path last --model.lr 0.125 --trainer.max_steps 6")
    saved = torch.load("lightning_logs/version_1/checkpoints/last.ckpt")
    assert saved["global_step"] == 6
    assert saved["hyper_parameters"]["threshold"] == 0.5
    assert saved["hyper_parameters"]["lr"] == 0.125
    assert saved["datamodule_hyper_parameters"]["size"] == (20, 24)


def test_last_is_the_end_of_the_run_though_nothing_got_better(shell: Shell) -> None:
    _, out, _ = shell(f"{FIT} --model.lr 0 --trainer.max_steps 5")
    (line,) = [line for line in out.splitlines() if "last checkpoint" in line]
    assert torch.load(line.split()[2])["global_step"] == 5


def test_a_rate_and_decay_that_flags_give_are_those_of_the_resumed_run(
    shell: Shell,
) -> None:
    shell(f"{FIT} --model.lr 0.25")
    flags = "--model.lr 0.125 --model.weight_decay 0.5 --trainer.max_steps 6"
    shell(f"{FIT} --ckpt_path last {flags}")
    saved = torch.load("lightning_logs/version_1/checkpoints/last.ckpt")
    groups = saved["optimizer_states"][0]["param_groups"]
    assert {group["initial_lr"] for group in groups} == {0.125}
    assert {group["weight_decay"] for group in groups} == {0.5, 0.0}


def test_a_checkpoint_may_be_left_out_again(shell: Shell) -> None:
    shell(FIT)
    shell(f"{FIT} --ckpt_path last --trainer.max_steps 6")
    config = "lightning_logs/version_1/config.yaml"
    assert shell(f"fit --config {config} --ckpt_path null")[0] == 0
    saved = torch.load("lightning_logs/version_2/checkpoints/last.ckpt")
    assert saved["global_step"] == 6


def test_a_checkpoint_of_another_network_is_refused(shell: Shell) -> None:
    shell(FIT)
    last = shell.fails(
        f"{FIT} --ckpt_path last --model.network.init_args.kernel_size 3"
    )
    assert "ckpt_path must fit the networks" in last


def test_what_the_data_tell_cannot_be_told_otherwise(shell: Shell) -> None:
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


def test_data_of_another_mean_than_the_default_are_trained_on(shell: Shell) -> None:
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
def test_a_mean_or_spread_that_contradicts_the_data_is_refused(
    shell: Shell, name: str
) -> None:
    line = f"{FIT} --data.{name} [0.2,0.3,0.4] --model.{name} [0.5,0.5,0.5]"
    last = shell.fails(line)
    told = f"model.{name} must be that of the data, [0.2, 0.3, 0.4], got"
    assert f"{told} [0.5, 0.5, 0.5]; leave it out" in last


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


def test_names_are_printed_as_they_are(shell: Shell) -> None:
    _, out, _ = shell(
        f"{FIT} --trainer.default_root_dir a[b] --data.class_names",
        '["[/b]", "[red]", "x"]',
    )
    assert "run: a[b]/lightning_logs/version_0" in out
    assert "[/b]" in out
    assert "[red]" in out


def test_a_run_that_was_never_validated_is_at_its_end(shell: Shell) -> None:
    status, out, _ = shell(f"{FIT} --trainer.val_check_interval 50")
    assert status == 0
    assert "mIoU" in out


def test_nothing_to_evaluate_is_an_error(shell: Shell) -> None:
    shell(FIT)
    last = shell.fails("test --config recipe.yaml --data.root data --ckpt_path last")
    assert "there must be images to test, got none" in last


def test_flags_win_wherever_the_recipe_stands(shell: Shell) -> None:
    shell("fit --data.root data --model.lr 0.25 --config recipe.yaml")
    saved = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert saved["model"]["init_args"]["lr"] == 0.25


def test_a_checkpoint_tells_its_model_and_data_by_itself(shell: Shell) -> None:
    shell(FIT, "--model", "Supervised", "--data.class_names", "[sky,road,tree]")
    network = json.dumps({"class_path": "torch.nn.Conv2d", "init_args": CONV})
    status, out, _ = shell(
        "validate --ckpt_path last --trainer.accelerator cpu",
        "--model.network",
        network,
    )
    assert status == 0
    assert "teacher" not in out
    assert "sky" in out


def test_checkpoints_from_python_and_the_command_line_load_in_both(
    shell: Shell,
) -> None:
    shell(FIT)
    path = "lightning_logs/version_0/checkpoints/last.ckpt"
    module = ClassMix.load_from_checkpoint(path, network=torch.nn.Conv2d(3, 3, 1))
    assert module.labeled_only_steps == 1

    trainer = tiny.trainer(max_steps=2, logger=False)
    data = FolderDataModule("data", crop=(16, 16), batch_size=2, num_workers=0)
    trainer.fit(ClassMix(3, network=torch.nn.Conv2d(3, 3, 1), threshold=0.75), data)
    trainer.save_checkpoint("python.ckpt")
    assert shell(f"{FIT} --ckpt_path python.ckpt")[0] == 0
    saved = torch.load("lightning_logs/version_1/checkpoints/last.ckpt")
    assert saved["hyper_parameters"]["threshold"] == 0.75
    assert saved["global_step"] == 4


def test_last_is_the_newest_under_the_root(shell: Shell) -> None:
    shell(f"{FIT} --trainer.default_root_dir runs")
    shell(f"{FIT} --trainer.default_root_dir runs --model.lr 0.5")
    old, new = (
        Path(f"runs/lightning_logs/version_{n}/checkpoints/last.ckpt") for n in (0, 1)
    )
    os.utime(old, (1, 1))
    shell(f"{FIT} --trainer.default_root_dir runs --ckpt_path last")
    config = Path("runs/lightning_logs/version_2/config.yaml").read_text()
    assert yaml.safe_load(config)["ckpt_path"] == str(new)
    assert "no last.ckpt in" in shell.fails(
        f"{FIT} --trainer.default_root_dir empty --ckpt_path last"
    )


def test_evaluation_without_a_checkpoint_is_refused(shell: Shell) -> None:
    for command in ("validate", "test", "predict"):
        last = shell.fails(f"{command} --config recipe.yaml --data.root data")
        assert "ckpt_path must be given" in last


def test_a_checkpoint_with_code_is_refused_and_not_run(shell: Shell) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (Path("ran"),)

    torch.save({"state_dict": {}, "hyper_parameters": Malice()}, "evil.ckpt")
    last = shell.fails(f"{FIT} --ckpt_path evil.ckpt")
    assert "evil.ckpt" in last
    assert not Path("ran").exists()


def test_a_folder_of_many_sizes_is_predicted_but_for_the_broken_image(
    shell: Shell,
) -> None:
    for index in range(20):
        size = (20 + 3 * index, 70 - 2 * index)
        save_pair(Path(f"new/{index:02d}.jpg"), None, size=size, seed=index)
    Path("new/07.jpg").write_bytes(Path("new/07.jpg").read_bytes()[:200])
    shell(FIT)
    status, out, errors = shell(
        "predict --config recipe.yaml --data.root data --data.predict new",
        "--ckpt_path",
        "last",
    )
    assert status == 1
    assert "07.jpg" in errors.splitlines()[-1]
    assert "19 predictions" in out
    for kind in ("labels", "overlays"):
        folder = Path("lightning_logs/version_1/predictions") / kind
        assert len(list(folder.iterdir())) == 19
        for index in set(range(20)) - {7}:
            with Image.open(folder / f"{index:02d}.png") as image:
                assert image.size == (70 - 2 * index, 20 + 3 * index)


def test_predictions_need_neither_recipe_nor_labels(shell: Shell) -> None:
    save_pair(Path("new/a.png"), None)
    shell(FIT)
    (shell.folder / "data").rename("moved")
    network = json.dumps({"class_path": "torch.nn.Conv2d", "init_args": CONV})
    line = "predict --data.predict new --ckpt_path last --trainer.accelerator cpu"
    assert shell(line, "--model.network", network)[0] == 0
    assert Path("lightning_logs/version_1/predictions/labels/a.png").is_file()


def test_a_pipeline_of_albumentations_comes_from_yaml(shell: Shell) -> None:
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
def test_camvid_trains_by_its_recipe(shell: Shell) -> None:
    make_camvid(Path("camvid"))
    status, out, _ = shell(
        "fit --config camvid --data.root camvid --data.labeled 4 --data.crop [32,32]"
        " --data.size [24,32] --model.encoder_weights null --trainer.fast_dev_run 1"
        " --data.num_workers 0 --trainer.accelerator cpu"
    )
    assert status == 0
    assert "Bicyclist" in out


def test_window_by_window_the_scores_of_a_pixelwise_network_are_the_same(
    shell: Shell,
) -> None:
    shell(FIT)
    line = "validate --config recipe.yaml --data.root data --ckpt_path last"
    whole, windows = (shell(line)[1], shell(line, "--model.window", "[8,8]")[1])
    assert np.array_equal(whole.splitlines()[1:], windows.splitlines()[1:])


def test_check_takes_a_recipe_or_a_class_and_ends_with_its_status(shell: Shell) -> None:
    status, out, _ = shell("check --config recipe.yaml --data.root data --json")
    assert status == 0
    assert json.loads(out)["images"] == {"labeled": 6, "unlabeled": 5, "val": 2}
    (shell.folder / "data/labels/02.png").write_bytes(b"")
    status, out, _ = shell("check --data FolderDataModule --data.root data")
    assert status == 1
    assert "labels/02.png" in out


def test_split_writes_what_fit_takes(shell: Shell) -> None:
    drawn = "--config recipe.yaml --data.root data"
    status, out, _ = shell(f"split {drawn} --data.labeled 2 --out two.txt")
    assert (status, "2 of 6" in out) == (0, True)
    assert shell(f"fit {drawn} --data.split two.txt")[0] == 0
    (written,) = shell.folder.rglob("split.txt")
    two = (shell.folder / "two.txt").read_text().split()
    assert sorted(two) == written.read_text().split()


def test_mistakes_in_data_commands_are_told_in_one_line(shell: Shell) -> None:
    status, _, err = shell("check --config recipe.yaml --data.root nowhere")
    assert status == 1
    assert err.splitlines()[-1] == (
        "classmix: error: root must be a folder, got nowhere"
    )
    status, _, err = shell("split --data FoldrDataModule --data.root data")
    assert status == 2
    assert "did you mean FolderDataModule" in err


def test_a_command_on_data_wants_data(shell: Shell) -> None:
    assert "such as --config folder" in shell.fails("check --json")
