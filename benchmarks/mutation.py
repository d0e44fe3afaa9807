"""Measure how many faults the tests find: mutation testing, by hand and not in CI.

Mutants of the source are drawn with a seed. Each runs the mirrored tests in a process
forked from one that has imported torch, and is killed if a test fails. The operators
are those of mutmut, and three more: a call without its statement, an inverted
condition, a comparison turned around. Type annotations, docstrings, ``__all__``,
messages of errors and warnings are not mutated.

    pip install mutmut==3.8.1
    python benchmarks/mutation.py --count 300 --seed 0 --json bench/mutation.json
"""

import argparse
import ast
import contextlib
import difflib
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import libcst
import libcst.matchers
import libcst.metadata
import mutmut.mutation.mutators as mutmut
import pytest
import torch

ROOT = Path(__file__).parents[1]
FILES = (
    "ops/*.py",
    "models/teacher.py",
    "callbacks/ema_teacher.py",
    "mixers.py",
    "modules/classmix.py",
    "modules/mixed.py",
    "modules/training.py",
    "datasets/samplers.py",
    "datasets/subsets.py",
    "datasets/splits.py",
    "datamodules/loaders.py",
    "datasets/labels/label_map.py",
    "datasets/labels/labelmap_txt.py",
    "datasets/labels/raw_values.py",
    "metrics.py",
)
WARNINGS = {"rank_zero_warn", "warn", "filterwarnings"}
SECONDS = 60


@dataclass
class Mutant:
    """A changed file, and what its tests said."""

    file: str
    line: int
    operator: str
    change: str
    source: str
    outcome: str = ""
    test: str = ""
    seconds: float = 0.0


def statement_removal(node: libcst.Expr) -> Iterator[libcst.CSTNode]:
    """Replace a call whose result is not used by ``None``."""
    if isinstance(node.value, libcst.Call):
        yield node.with_changes(value=libcst.Name("None"))


def condition_inversion(node: libcst.If) -> Iterator[libcst.CSTNode]:
    """Turn ``if x`` into ``if not (x)``."""
    test = node.test.with_changes(lpar=[libcst.LeftParen()], rpar=[libcst.RightParen()])
    space = libcst.SimpleWhitespace(" ")
    inverted = libcst.UnaryOperation(libcst.Not(whitespace_after=space), test)
    yield node.with_changes(test=inverted, whitespace_before_test=space)


def comparison_turn(node: libcst.ComparisonTarget) -> Iterator[libcst.CSTNode]:
    """Turn ``<`` into ``>`` and ``<=`` into ``>=``, and back."""
    less, more = libcst.LessThan, libcst.GreaterThan
    equal, most = libcst.LessThanEqual, libcst.GreaterThanEqual
    turned = {less: more, more: less, equal: most, most: equal}
    if type(node.operator) in turned:
        yield node.with_changes(operator=turned[type(node.operator)]())


OPERATORS = [
    *mutmut.mutation_operators,
    (libcst.Expr, statement_removal),
    (libcst.If, condition_inversion),
    (libcst.ComparisonTarget, comparison_turn),
]


class Mutator(libcst.CSTVisitor):
    """Collect the places of one file that can be mutated, with what replaces them."""

    METADATA_DEPENDENCIES = (libcst.metadata.PositionProvider,)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = path.relative_to(ROOT).as_posix()
        self.tree = libcst.metadata.MetadataWrapper(
            libcst.parse_module(path.read_text())
        )
        self.places: list[tuple[Mutator, int, Any, Any, str]] = []
        self.tree.visit(self)

    def on_visit(self, node: libcst.CSTNode) -> bool:
        """Mutate a node; return whether its children are mutated too."""
        if _is_no_code(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and not _is_prose(node):
                where = self.get_metadata(libcst.metadata.PositionProvider, node)
                line = where.start.line
                for changed in operator(node):
                    self.places.append((self, line, node, changed, operator.__name__))
        return True

    def mutant(
        self, line: int, node: Any, changed: Any, operator: str
    ) -> Mutant | None:
        """Return the mutant with one node replaced, if it is another program."""
        before = self.tree.module.code
        after = self.tree.module.deep_replace(node, changed).code
        try:
            if ast.dump(ast.parse(after)) == ast.dump(ast.parse(before)):
                return None
        except SyntaxError:
            return None
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0)
        change = "\n".join(f"{s[0]} {s[1:].strip()}" for s in [*lines][3:])
        return Mutant(self.file, line, operator, change, after)


def _is_no_code(node: libcst.CSTNode) -> bool:
    """Return whether nothing below a node is mutated."""
    name = None
    if isinstance(node, libcst.Call):
        name = getattr(node.func, "attr", node.func)
    elif isinstance(node, libcst.Assign):
        name = node.targets[0].target
    names = {*WARNINGS, "__all__"}
    kinds = libcst.Annotation, libcst.Raise, libcst.Import, libcst.ImportFrom
    match = libcst.matchers
    docstring = match.Expr(match.SimpleString() | match.ConcatenatedString())
    literal = match.Subscript(match.Name("Literal"))
    return (
        isinstance(node, kinds)
        or getattr(name, "value", None) in names
        or match.matches(node, docstring | literal)
    )


def _is_prose(node: libcst.CSTNode) -> bool:
    """Return whether a node is a text for people, which no test repeats."""
    return isinstance(node, libcst.SimpleString) and " " in node.value


def draw(count: int, seed: int) -> list[Mutant]:
    """Draw different mutants of all files, each with the same probability."""
    places = [
        place
        for pattern in FILES
        for path in sorted((ROOT / "lightning_classmix").glob(pattern))
        for place in Mutator(path).places
    ]
    print(len(places), "mutants to draw from")
    random.Random(seed).shuffle(places)
    drawn: dict[str, Mutant] = {}
    for mutator, *place in places:
        if len(drawn) == count:
            break
        mutant = mutator.mutant(*place)
        if mutant is not None:
            drawn.setdefault(mutant.source, mutant)
    return [*drawn.values()]


class Loader(importlib.machinery.SourceFileLoader):
    """Load a module from a changed source, and all others as ever."""

    def __init__(self, path: Path, source: str) -> None:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        super().__init__(name.removesuffix(".__init__"), str(path))
        self.source = source

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Find the changed module."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        """Compile the changed source."""
        return compile(self.source, self.path, "exec")


class FirstFailure:
    """pytest plugin that keeps the name of the first test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the name."""
        if report.failed and not self.name:
            self.name = report.nodeid


def mirrored_tests(file: str) -> list[str]:
    """Return the test files of a module: ``test_x.py`` and ``test_x_*.py``."""
    path = Path("tests", *Path(file).parts[1:])
    parts = [f"test_{path.stem}.py", f"test_{path.stem}_*.py"]
    return [str(p) for part in parts for p in sorted(path.parent.glob(part))]


def run_tests(file: str, source: str, log: Path) -> tuple[str, str, float]:
    """Run the mirrored tests on a changed source in a forked process.

    Returns the outcome, the test that failed, and the seconds of processor time.
    """
    tests = mirrored_tests(file)
    if not tests:
        return "survived", "no tests", 0.0
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(5 * SECONDS)  # of wall time, for a lock
        output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.meta_path.insert(0, Loader(ROOT / file, source))  # type: ignore[arg-type]
        plugin = FirstFailure()
        options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
        options += ["-m", "not slow and not forks"]
        status = pytest.main([*options, *tests], plugins=[plugin])
        os.write(write, f"{int(status)} {plugin.name}".encode())
        os._exit(0)
    os.close(write)
    _, status, usage = os.wait4(child, 0)
    seconds = round(usage.ru_utime + usage.ru_stime, 2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers of loaders
    with os.fdopen(read) as pipe:
        code, _, test = pipe.read().partition(" ")
    if status in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "time-out", test, seconds
    outcome = "survived" if code in ("0", "5") else "killed"
    return outcome, test, seconds


def prepare() -> None:
    """Import what the tests import, except the package and its tests."""
    import hypothesis

    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.insert(0, str(ROOT))
    torch.set_num_threads(1)
    phases = hypothesis.Phase.explicit, hypothesis.Phase.generate
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, deadline=None, database=None, phases=phases
    )
    hypothesis.settings.load_profile("mutants")
    for path in sorted((ROOT / "lightning_classmix").rglob("*.py")):
        if path.stem != "__main__":
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            importlib.import_module(name.removesuffix(".__init__"))
    for name in [*sys.modules]:
        if name.partition(".")[0] == "lightning_classmix":
            del sys.modules[name]
    gc.collect()
    gc.freeze()  # so that collections in the forked processes copy no pages


def main() -> None:
    """Draw mutants, run their tests and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the names of the files")
    parser.add_argument("--json", type=Path, help="file to write the mutants to")
    options = parser.parse_args()

    prepare()
    drawn = draw(options.count, options.seed)
    drawn = [mutant for mutant in drawn if options.only in mutant.file]
    log = Path(f"/tmp/mutation-{os.getpid()}.txt")
    for file in sorted({mutant.file for mutant in drawn}):
        outcome, test, seconds = run_tests(file, (ROOT / file).read_text(), log)
        if outcome != "survived":
            sys.exit(f"the unchanged {file} is {outcome} by {test}, see {log}")
        print(f"{file}: {seconds} s unchanged", flush=True)
    for number, mutant in enumerate(drawn, start=1):
        result = run_tests(mutant.file, mutant.source, log)
        mutant.outcome, mutant.test, mutant.seconds = result
        if mutant.outcome != "killed":
            print(f"{number} {mutant.file}:{mutant.line} {mutant.outcome}")
            print(mutant.change, flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [{**asdict(mutant), "source": None} for mutant in drawn]
        options.json.write_text(json.dumps(rows, indent=2))
    print("\n| file | mutants | killed | survived |\n| --- | --- | --- | --- |")
    for file, number in sorted(Counter(m.file for m in drawn).items()):
        left = sum(m.outcome == "survived" for m in drawn if m.file == file)
        print(f"| `{file}` | {number} | {number - left} | {left} |")
    seconds = sum(m.seconds for m in drawn)
    print(Counter(m.outcome for m in drawn), f"{seconds:.0f} s of processor time")


if __name__ == "__main__":
    main()
