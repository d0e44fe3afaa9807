import copy
import errno
import math
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lightning_classmix import AtomicCheckpointIO, Supervised
from lightning_classmix.checkpoints import (
    adopt_arguments,
    class_paths,
    end_epoch,
    imported_subclass,
    read_checkpoint,
)


def test_class_paths_are_import_paths_by_argument_name() -> None:
    class Local:
        pass

    model = object.__new__(Supervised)
    assert class_paths(model=model, data=Local()) == {
        "model": "lightning_classmix.modules.supervised.Supervised",
        "data": f"{__name__}.{Local.__qualname__}",
    }


def test_class_paths_leave_out_none_and_classes_of_scripts() -> None:
    in_script = type("InScript", (), {"__module__": "__main__"})
    assert class_paths(model=in_script(), data=None) == {}


def progress(processed: int, completed: int) -> dict[str, Any]:
    """Return the loop state that Lightning saves, reduced to what is read here."""
    counts = {"ready": processed, "processed": processed, "completed": completed}
    batch = {"ready": 5, "processed": 5, "completed": 5}
    return {
        "loops": {
            "fit_loop": {
                "epoch_progress": {"total": {**counts}, "current": {**counts}},
                "epoch_loop.batch_progress": {
                    "total": {**batch},
                    "current": {**batch},
                    "is_last_batch": True,
                },
            }
        }
    }


def test_end_epoch_completes_a_processed_epoch_and_resets_its_batches() -> None:
    checkpoint = progress(processed=3, completed=2)
    end_epoch(checkpoint)
    loop = checkpoint["loops"]["fit_loop"]
    for part in ("total", "current"):
        assert loop["epoch_progress"][part]["completed"] == 3
    batch = loop["epoch_loop.batch_progress"]
    assert batch["current"] == {"ready": 0, "processed": 0, "completed": 0}
    assert batch["total"] == {"ready": 5, "processed": 5, "completed": 5}
    assert batch["is_last_batch"] is False


@pytest.mark.parametrize(
    "checkpoint", [progress(processed=2, completed=2), {"loops": {}}, {}]
)
def test_end_epoch_leaves_other_checkpoints_unchanged(
    checkpoint: dict[str, Any],
) -> None:
    before = copy.deepcopy(checkpoint)
    end_epoch(checkpoint)
    assert checkpoint == before


def optimizer(*rates: float, decay: float = 0.0) -> torch.optim.Optimizer:
    """Return an optimizer at step 0 of a schedule, with one group for each rate."""
    groups = [
        {
            "params": [torch.nn.Parameter(torch.zeros(1))],
            "lr": rate,
            "initial_lr": rate,
            "weight_decay": decay,
        }
        for rate in rates
    ]
    return torch.optim.SGD(groups, lr=0.1)


def test_adopted_learning_rates_keep_their_position_in_the_schedule() -> None:
    resumed = optimizer(0.4, 0.2)
    resumed.param_groups[0]["lr"] = 0.1  # a quarter of the initial rate
    resumed.param_groups[1]["lr"] = 0.05
    adopt_arguments(resumed, optimizer(0.8, 0.2))
    first, second = resumed.param_groups
    assert (first["initial_lr"], first["lr"]) == pytest.approx((0.8, 0.2))
    assert (second["initial_lr"], second["lr"]) == (0.2, 0.05)


def test_a_learning_rate_of_zero_is_replaced_by_the_full_new_rate() -> None:
    resumed = optimizer(0.0)
    adopt_arguments(resumed, optimizer(0.3))
    assert (resumed.param_groups[0]["initial_lr"], resumed.param_groups[0]["lr"]) == (
        0.3,
        0.3,
    )


def test_weight_decay_is_adopted() -> None:
    resumed = optimizer(0.4, decay=0.1)
    adopt_arguments(resumed, optimizer(0.4, decay=0.0))
    assert resumed.param_groups[0]["weight_decay"] == 0.0
    assert resumed.param_groups[0]["lr"] == 0.4


def test_parameter_groups_added_during_the_earlier_run_are_kept() -> None:
    resumed = optimizer(0.4, 0.7, decay=0.1)
    adopt_arguments(resumed, optimizer(0.8, decay=0.2))
    first, added = resumed.param_groups
    assert (first["lr"], first["weight_decay"]) == (0.8, 0.2)
    assert (added["lr"], added["weight_decay"]) == (0.7, 0.1)


CONTENT: dict[str, Any] = {
    "state_dict": {"student.weight": torch.ones(2)},
    "class_paths": {"model": "a.B"},
    "base_seed": 0,
    "pytorch-lightning_version": "2.6.0",
}


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in CONTENT.items() if key not in keys}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), r"x\.ckpt, a tensor of shape \(3,\)$"),
        ([1, 2], "a list$"),
        ({"a": torch.ones(1)}, "a state dict, .* as model.student_weights$"),
        ({}, "a file without state_dict$"),
        (without("state_dict"), "a file without state_dict$"),
        (CONTENT | {"state_dict": [1]}, "a file without state_dict$"),
        (without("base_seed"), "a checkpoint without base_seed; its weights can be"),
        (without("base_seed", "class_paths"), "without class_paths and base_seed;"),
        (CONTENT | {"hyper_parameters": 3}, "whose hyper_parameters is a int, not"),
        (CONTENT | {"class_paths": "a.B"}, "whose class_paths is a str, not a dict"),
        (CONTENT | {"state_dict": {"a": 3}}, "whose state_dict holds a int as a$"),
        (
            CONTENT | {"state_dict": {"a": torch.tensor([1.0, math.nan])}},
            "values that are not finite in a$",
        ),
        (CONTENT | {"state_dict": {0: torch.ones(1)}}, "state_dict has the key 0$"),
        pytest.param(
            CONTENT | {"state_dict": {"a": torch.eye(2).to_sparse()}},
            "holds no plain values as a$",
            marks=pytest.mark.filterwarnings("ignore::UserWarning"),  # of torch.load
        ),
        (CONTENT | {"state_dict": {"a": torch.ones(1, device="meta")}}, "no plain"),
        (
            CONTENT | {"hyper_parameters": {"_instantiator": "os.system"}},
            "a file that names code to run$",
        ),
    ],
)
def test_a_foreign_or_incomplete_checkpoint_is_described(
    content: Any, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=f"ckpt_path must be written by .*{message}"):
        read_checkpoint(tmp_path / "x.ckpt", "ckpt_path")


def test_a_file_that_is_not_of_torch_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"tensors and plain values, got .*x\.ckpt: "):
        read_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(FileNotFoundError, match="checkpoint must be a file, got none"):
        read_checkpoint("none")


def test_a_whole_checkpoint_is_read(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "x.ckpt")
    assert read_checkpoint(tmp_path / "x.ckpt").keys() == CONTENT.keys()


def test_a_checkpoint_is_written_where_a_folder_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def fsync(file: int) -> None:
        folder = stat.S_ISDIR(os.fstat(file).st_mode)
        flushed.append(folder)
        if folder:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    AtomicCheckpointIO().save_checkpoint(CONTENT, tmp_path / "x.ckpt")
    assert flushed == [False, True]
    assert read_checkpoint(tmp_path / "x.ckpt").keys() == CONTENT.keys()


def test_a_class_is_found_by_its_import_path_only_if_it_is_imported() -> None:
    path = f"{AtomicCheckpointIO.__module__}.AtomicCheckpointIO"
    assert imported_subclass(TorchCheckpointIO, path) is AtomicCheckpointIO
    assert imported_subclass(TorchCheckpointIO, "antigravity.Anything") is None
    assert "antigravity" not in sys.modules
