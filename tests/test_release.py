import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_all_files_state_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == version
    released = f"## [{version}] - {citation['date-released']}"
    assert released in (ROOT / "CHANGELOG.md").read_text()
