"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path


def lowest_versions(pyproject: Path) -> list[str]:
    """Return ``name==version`` for every requirement with a lower bound."""
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *chain.from_iterable(extras)]
    bounds = [
        re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", text) for text in requirements
    ]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


if __name__ == "__main__":
    lines = lowest_versions(Path(__file__).parents[1] / "pyproject.toml")
    sys.stdout.write("\n".join(lines) + "\n")
