"""Which libraries an import loads, read in a fresh interpreter."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lightning_classmix
from lightning_classmix import callbacks

HEAVY = {
    "PIL",
    "albumentations",
    "jsonargparse",
    "kornia",
    "lightning",
    "matplotlib",
    "numpy",
    "segmentation_models_pytorch",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
}


def loaded(code: str, *arguments: str) -> set[str]:
    """Return the top-level modules loaded at the end of a Python program."""
    program = f"""
import atexit, json, sys
roots = lambda: json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}}))
atexit.register(lambda: print("\\n" + roots()))
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_itself_imports_no_library() -> None:
    assert not loaded("import lightning_classmix") & HEAVY


@pytest.mark.slow
def test_ops_load_nothing_that_torch_does_not_load() -> None:
    own = loaded("import torch")
    both = loaded("import torch; from lightning_classmix import ops; ops.mix")
    # The standard library may be used; a library that torch does not load may not.
    assert both - own - set(sys.stdlib_module_names) == {"lightning_classmix"}


def test_help_loads_no_library() -> None:
    code = "from lightning_classmix.cli.main import main; main()"
    assert not loaded(code, "--help") & HEAVY


@pytest.mark.slow
def test_datasets_load_neither_lightning_nor_networks() -> None:
    # Loader workers that are spawned import this.
    names = loaded("import lightning_classmix.datasets.views")
    assert not names & {"kornia", "lightning", "segmentation_models_pytorch", "timm"}


LAZY: list[ModuleType] = [lightning_classmix, callbacks]
PACKAGES = pytest.mark.parametrize("package", LAZY)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (package, name)
        for package in (lightning_classmix, callbacks)
        for name in package.__all__
    ],
)
def test_every_public_name_can_be_imported(package: ModuleType, name: str) -> None:
    value = getattr(package, name)
    assert getattr(value, "__name__", "").endswith(name)
    assert name in dir(package)


@PACKAGES
def test_an_unknown_name_is_refused(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Classmix'"):
        package.Classmix  # noqa: B018


@PACKAGES
def test_type_checkers_and_readers_see_the_names_that_are_imported(
    package: ModuleType,
) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text())
    imports = {
        alias.name: (node.module or "").removeprefix(f"{package.__name__}.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(imports) == set(package.__all__)
    imports.pop("ops", None)
    assert imports == package._MODULES
