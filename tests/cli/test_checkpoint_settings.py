import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from lightning_classmix import ClassMix
from lightning_classmix.cli.checkpoint_settings import checkpoint_settings

MODEL = f"{ClassMix.__module__}.ClassMix"


class OwnModule(LightningModule):
    def __init__(self, function: Any = None, path: str | Path | None = None) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("planted.py").write_text("raise RuntimeError('imported')")


def settings(model: str = MODEL, named: str | None = None, **arguments: Any) -> Any:
    content = {
        "state_dict": {},
        "base_seed": 0,
        "pytorch-lightning_version": "2.6.0",
        "class_paths": {"model": model},
        "hyper_parameters": {"num_classes": 3, **arguments},
    }
    torch.save(content, "x.ckpt")
    return checkpoint_settings(Path("x.ckpt"), model=named)


def test_a_module_that_only_a_checkpoint_names_is_not_imported() -> None:
    with pytest.raises(ValueError, match=r"got x\.ckpt of planted\.X; .* by --model"):
        settings("planted.X")
    assert "planted" not in sys.modules


def test_a_class_of_ones_own_is_used_if_it_is_imported_or_named() -> None:
    path = f"{OwnModule.__module__}.{OwnModule.__qualname__}"
    assert settings(path)["model"]["class_path"] == path
    assert settings("a.Other", named="b.Other")["model"]["class_path"] == "b.Other"


@pytest.mark.parametrize(
    "arguments",
    [
        {"network": {"class_path": "planted.X"}},
        {"model_options": {"a": [{"class_path": "planted.X", "init_args": {}}]}},
        {"mixer": "planted.function"},
        {"weighting": "os.system"},
        {"augment": "planted.X"},
        {"network": "planted.X"},
        {"reproduction": "planted.X"},
    ],
    ids=str,
)
def test_code_that_a_checkpoint_names_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"ckpt_path must hold plain values, got .*ckpt"
    ):
        settings(**arguments)
    assert "planted" not in sys.modules


def test_paths_with_dots_are_plain_values() -> None:
    found = settings(student_weights="a.b.pth", encoder="tu-vit.dino", mixer="cutmix")
    assert found["model"]["init_args"]["student_weights"] == "a.b.pth"
