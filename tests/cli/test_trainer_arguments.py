from pathlib import Path
from typing import Any

import pytest

from lightning_classmix.cli.trainer_arguments import check_trainer_arguments


def check(seed: int | bool = 0, **arguments: Any) -> None:
    check_trainer_arguments({"accelerator": "cpu", **arguments}, seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be at least 1"),
        ({"gradient_clip_val": -0.1}, "gradient_clip_val must be at least 0"),
        ({"val_check_interval": 0}, "val_check_interval must be greater than 0"),
        (
            {"devices": "100000"},
            r"devices must be in \[1, \d+\] on the CPU, got 100000",
        ),
        ({"devices": 0}, r"devices must be in .* got 0"),
        ({"seed": 2**32}, r"seed_everything must be in \[0, 4294967295\]"),
        ({"default_root_dir": __file__}, "must be a folder, got the file"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"devices": "2", "gradient_clip_val": None, "val_check_interval": 0.5},
        {"devices": "auto", "val_check_interval": "00:01:00:00"},
        {"devices": "-1", "accelerator": "gpu"},
        {"devices": "[0,1]", "accelerator": "gpu"},
        {"seed": True},
        {"default_root_dir": Path("a/new/folder")},
    ],
    ids=str,
)
def test_other_arguments_are_left_to_lightning(arguments: dict[str, Any]) -> None:
    check(**arguments)
