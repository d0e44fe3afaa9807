import ast
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = {path.stem for path in FOLDER.glob("*.py")}
Run = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.py")))
def test_a_benchmark_imports_names_that_exist(script: str) -> None:
    for node in ast.walk(ast.parse((FOLDER / script).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module not in SCRIPTS:
            module = import_module(str(node.module))
            missing = [a.name for a in node.names if not hasattr(module, a.name)]
            assert not missing, f"{node.module} has no {', '.join(missing)}"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a script; it and the scripts that it imports are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name in SCRIPTS & sys.modules.keys():
        del sys.modules[name]


@pytest.fixture
def run(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a script with other constants; return the rows that it writes."""

    def run_script(name: str, *flags: str, **constants: Any) -> list[dict[str, Any]]:
        module = script(name)
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
        path = tmp_path / "rows.json"
        flags = (*flags, "--rounds", "1", "--json", str(path))
        monkeypatch.setattr(sys, "argv", [name, *flags])
        module.main()
        rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
        printed = capsys.readouterr().out
        assert printed.count("\n| ") == len(rows) + 2  # header and rule
        assert all(row["ratio"] > 0 for row in rows)
        return rows

    return run_script


def tiny(*_: Any, **__: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 19, 3, padding=1))


@pytest.mark.slow
def test_ops(run: Run) -> None:
    rows = run("ops", "--no-compile", SHAPES=[(2, 5, 16, 16)], resnet101=tiny)
    claims = [row["claim"] for row in rows]
    assert claims[0] == "teacher update, ResNet-101"
    assert claims[-1] == "mixing step, eager, smooth (2, 5, 16, 16)"


@pytest.mark.slow
def test_parts(run: Run) -> None:
    constants = {"NETWORKS": [("", "tiny")], "build_model": tiny, "WINDOW": 32}
    rows = run("parts", "--side", "60", **constants)
    assert rows[-1]["claim"] == "prediction of 60x60 by windows of 32"
    assert "MB added at the peak" in rows[-1]["note"]


@pytest.mark.slow
def test_step(run: Run) -> None:
    cases = {"tiny": ("small_unet", "", (32, 32), 2, 1.0)}
    compared: list[str] = []
    rows = run(
        "step",
        "--steps",
        "1",
        CASES=cases,
        compare_memory=lambda name, report: compared.append(name),
    )
    assert [row["against"] for row in rows] == ["bare loop", "the authors' manner"]
    assert compared == ["tiny"]


@pytest.mark.slow
def test_step_compares_memory(run: Run) -> None:
    rows = run("step", "--steps", "1", "--only", "SmallUNet")
    assert rows[-1]["claim"] == "peak memory of tensors, SmallUNet"


@pytest.mark.slow
def test_data(run: Run) -> None:
    rows = run("data", "--images", "8", "--workers", "0")
    datasets = [row["claim"].partition(":")[0] for row in rows]
    assert datasets == ["folder"] * 4 + ["CamVid"] * 4 + ["VOC"] * 4


@pytest.mark.slow
def test_scaling(run: Run) -> None:
    rows = run("scaling", GROWTH=[[(2, 32), (3, 32)], [(2, 32), (2, 64)]])
    assert [row["claim"] for row in rows] == [
        "step, 3 + 3 of 32x32",
        "step, 2 + 2 of 64x64",
    ]


@pytest.mark.slow
def test_imports(run: Run) -> None:
    shown = [("import json", "import os", ""), ("a spawned worker of a loader",) * 3]
    rows = run("imports", ROWS=[shown[0], (shown[1][0], "import os", "")])
    assert len(rows) == 2


@pytest.mark.slow
def test_ddp(run: Run) -> None:
    rows = run("ddp", "--steps", "1", CASES={"SmallUNet": None})
    assert rows[0]["claim"] == "step of 2 processes, SmallUNet"


def test_gpu_step_on_the_cpu(run: Run) -> None:
    rows = run(
        "gpu_step",
        "--device",
        "cpu",
        "--steps",
        "1",
        NETWORKS={"tiny": ("small_unet", "resnet18", (32, 32), 2)},
        SETTINGS=[("32-true", False, False), ("bf16-mixed", False, True)],
    )
    assert [row["claim"] for row in rows] == [
        "tiny, 32-true",
        "tiny, bf16-mixed, channels_last",
    ]
    assert "of the matmul peak; teacher" in rows[1]["note"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a GPU is needed for")
def test_gpu_step_says_that_there_is_no_gpu(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_step"])
    script("gpu_step").main()
    assert capsys.readouterr().out.startswith("skipped: gpu_step.py needs a GPU")
