import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_files_to_change_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("## Where to change what")[2].partition("## ")[0]
    paths = re.findall(r"`([a-z_/]+(?:\.py|/))`", table)
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / "lightning_classmix" / path).exists(), path
