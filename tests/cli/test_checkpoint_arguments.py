import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_classmix import ClassMix, FolderDataModule
from tests import tiny
from tests.shell import CONV, FIT, Shell


@pytest.mark.slow
def test_flags_precede_the_checkpoint_and_it_precedes_the_recipe(shell: Shell) -> None:
    shell(
        FIT, "--model.threshold", "0.5", "--model.lr", "0.25", "--data.size", "[20,24]"
    )
    shell(f"{FIT} --ckpt_path last --model.lr 0.125 --trainer.max_steps 6")
    saved = torch.load("lightning_logs/version_1/checkpoints/last.ckpt")
    assert saved["global_step"] == 6
    assert saved["hyper_parameters"]["threshold"] == 0.5
    assert saved["hyper_parameters"]["lr"] == 0.125
    assert saved["datamodule_hyper_parameters"]["size"] == (20, 24)


@pytest.mark.slow
def test_last_checkpoint_is_the_end_of_a_run_that_did_not_improve(shell: Shell) -> None:
    _, out, _ = shell(f"{FIT} --model.lr 0 --trainer.max_steps 5")
    (line,) = [line for line in out.splitlines() if "last checkpoint" in line]
    assert torch.load(line.split()[2])["global_step"] == 5


@pytest.mark.slow
def test_a_resumed_run_uses_the_rate_and_decay_of_the_flags(
    shell: Shell,
) -> None:
    shell(f"{FIT} --model.lr 0.25")
    flags = "--model.lr 0.125 --model.weight_decay 0.5 --trainer.max_steps 6"
    shell(f"{FIT} --ckpt_path last {flags}")
    saved = torch.load("lightning_logs/version_1/checkpoints/last.ckpt")
    groups = saved["optimizer_states"][0]["param_groups"]
    assert {group["initial_lr"] for group in groups} == {0.125}
    assert {group["weight_decay"] for group in groups} == {0.5, 0.0}


@pytest.mark.slow
def test_ckpt_path_null_starts_a_new_run(shell: Shell) -> None:
    shell(FIT)
    shell(f"{FIT} --ckpt_path last --trainer.max_steps 6")
    config = "lightning_logs/version_1/config.yaml"
    assert shell(f"fit --config {config} --ckpt_path null")[0] == 0
    saved = torch.load("lightning_logs/version_2/checkpoints/last.ckpt")
    assert saved["global_step"] == 6


@pytest.mark.slow
def test_a_checkpoint_of_another_network_is_refused(shell: Shell) -> None:
    shell(FIT)
    last = shell.fails(
        f"{FIT} --ckpt_path last --model.network.init_args.kernel_size 3"
    )
    assert "ckpt_path must fit the networks" in last


def test_a_checkpoint_contains_the_arguments_of_model_and_data(shell: Shell) -> None:
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_last_is_the_newest_checkpoint_below_the_root(shell: Shell) -> None:
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


def test_a_checkpoint_with_code_is_refused_and_not_run(shell: Shell) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (Path("ran"),)

    torch.save({"state_dict": {}, "hyper_parameters": Malice()}, "evil.ckpt")
    last = shell.fails(f"{FIT} --ckpt_path evil.ckpt")
    assert "evil.ckpt" in last
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ("callbacks", {"EMATeacher": 5}),
        ("callbacks", {"EMATeacher": {"x": 1}}),
        ("callbacks", {"ModelCheckpoint": [1]}),
        ("loops", {"fit_loop": {}}),
        ("loops", {"fit_loop": 3}),
        ("optimizer_states", [5]),
        ("optimizer_states", [{"state": {}, "param_groups": []}]),
        ("lr_schedulers", [5]),
    ],
)
def test_a_state_that_cannot_be_restored_is_refused(
    shell: Shell, part: str, state: Any
) -> None:
    shell(FIT)
    content = torch.load("lightning_logs/version_0/checkpoints/last.ckpt")
    if part == "callbacks":
        (name,) = [key for key in content[part] if key.startswith(next(iter(state)))]
        state = content[part] | {name: next(iter(state.values()))}
    torch.save(content | {part: state}, "bad.ckpt")
    last = shell.fails(f"{FIT} --ckpt_path bad.ckpt --trainer.max_steps 6")
    assert "ckpt_path must hold the state of such a training, got bad.ckpt" in last
    assert "give it as model.student_weights" in last
