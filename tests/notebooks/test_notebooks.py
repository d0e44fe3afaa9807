from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted(Path(__file__).parents[2].glob("notebooks/*.ipynb"))

SHORT: dict[str, dict[str, Any]] = {
    "1-what-classmix-does": {"steps": 20, "draws": 100},
    "2-training-on-street-scenes": {
        "steps": 12,
        "labeled_only_steps": 2,
        "ramp_steps": 2,
        "val_scenes": 30,
        "recorded_steps": (0, 4, 8),
    },
    "3-your-own-images": {
        "steps": 10,
        "labeled_only_steps": 1,
        "ramp_steps": 1,
        "unlabeled_images": 8,
        "val_images": 4,
    },
    "4-backbones-and-fine-tuning": {"steps": 6, "val_scenes": 4},
}
"""Parameters of the shortened run."""


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_has_parameters_for_a_short_run() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SHORT)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_saved_as_one_run_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(read(path))
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert all(output.output_type != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_shortened_notebook_runs_without_error(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = read(path)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    for name, value in SHORT[path.stem].items():
        assert f"{name} = " in parameters.source
        parameters.source += f"\n{name} = {value!r}"
    for cell in code_cells(notebook):
        cell.execution_count, cell.outputs = None, []

    nbclient.NotebookClient(
        notebook,
        timeout=1800,  # per cell; only a hanging kernel reaches it
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()

    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(o.output_type != "error" for cell in cells for o in cell.outputs)
