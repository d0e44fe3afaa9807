import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_classmix import Supervised
from lightning_classmix.cli.main import main
from tests import tiny


def test_export_writes_the_network_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    module = Supervised(3, model="small_unet", model_options={"width": 4})
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    line = f"classmix export --ckpt_path {tmp_path}/run.ckpt --out {tmp_path}/out"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--format", "safetensors"])
    main()
    assert "out/model.safetensors" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/model.json").read_text())["num_classes"] == 3

    monkeypatch.setattr(sys, "argv", [*line.split(), "--format", "smp"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
