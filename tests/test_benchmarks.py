import ast
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.py")))
def test_a_benchmark_imports_names_that_exist(script: str) -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    for node in ast.walk(ast.parse((FOLDER / script).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module not in names:
            module = import_module(str(node.module))
            missing = [a.name for a in node.names if not hasattr(module, a.name)]
            assert not missing, f"{node.module} has no {', '.join(missing)}"
