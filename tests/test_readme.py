import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_lines_of_the_readme_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    lines = next(block for block in blocks if "Trainer(" in block)
    names: dict[str, object] = {}
    exec(lines, names)
    trainer = names["trainer"]
    assert trainer.global_step == 10  # type: ignore[attr-defined]
    assert torch.isfinite(trainer.callback_metrics["val_miou"])  # type: ignore[attr-defined]


def test_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert not [link for link in links if not (README.parent / link).exists()]
