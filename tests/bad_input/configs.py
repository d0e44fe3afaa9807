"""Bad config files: not text, not YAML, too large, or with wrong keys."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import Case

_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _write(content: str | bytes) -> Callable[[Path], object]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / "x.yaml").write_bytes(raw)


_ROWS: list[tuple[str, str | bytes, str]] = [
    ("latin-1", "data: ö".encode("latin-1"), "text in UTF-8, got x.yaml: byte 6"),
    ("a picture", b"\x89PNG\r\n\x1a\n\x00", "text in UTF-8, got x.yaml: byte 0"),
    ("a null byte", "data: \x00", "must be YAML, got x.yaml: .*not allowed"),
    ("deep lists", "a: " + "[" * 5000 + "]" * 5000, "at most 50 levels deep, got x"),
    (
        "deep mappings",
        "\n".join("  " * depth + f"k{depth}:" for depth in range(100)),
        "at most 50 levels deep, got x.yaml",
    ),
    ("aliases that multiply", _BOMB, "more in x.yaml, whose aliases repeat values"),
    ("2 MB", "#" * 2_000_000, "config must be smaller than 1 MB, got x.yaml"),
    ("nothing", "", "x.yaml, an empty file"),
    ("a comment", "# nothing", "x.yaml, an empty file"),
    ("a list", "- a", "config must hold keys and values, got x.yaml"),
    ("a word", "hello", "config must hold keys and values, got x.yaml"),
    ("a number as key", "1: 2", "config must hold keys and values, got x.yaml"),
    ("half a list", "data: [", "config must be YAML, got x.yaml"),
    ("tabs", "data:\n\tclass_path: x", "config must be YAML, got x.yaml"),
    (
        "a Python tag",
        "a: !!python/object/apply:os.system [ls]",
        "x.yaml: could not",
    ),
    ("an unknown alias", "a: *b", "x.yaml: found undefined alias"),
    (
        "a key twice",
        "trainer: {max_steps: 1}\ntrainer: {max_steps: 2}",
        "config must hold a key once, got trainer twice in x.yaml",
    ),
    ("an unhashable key", "? [a]\n: b", "x.yaml: .*unhashable key"),
    (
        "an unknown key",
        "data: {class_path: FolderDataModule}\nmodell: {class_path: ClassMix}",
        "x.yaml: modell",
    ),
    ("a number as data", "data: 3", "x.yaml: data must be a class_path, .* got 3"),
    ("a word as trainer", "trainer: hello", "x.yaml: trainer must hold keys and valu"),
    ("a number as callbacks", "trainer: {callbacks: 3}", "x.yaml: trainer.callbacks"),
    ("a number as class", "data: {class_path: 3}", "x.yaml: data must be a class_path"),
    (
        "a number as arguments",
        "data: {class_path: FolderDataModule, init_args: 3}",
        "x.yaml: data must be a class_path",
    ),
    (
        "a function as model",
        "model: {class_path: os.system}",
        "x.yaml: model must",
    ),
    ("itself", "config: x.yaml", "x.yaml: Config file loop detected"),
    ("a number as checkpoint", "ckpt_path: 5", "ckpt_path must be a file, got 5"),
    (
        "control characters",
        'data: {class_path: "Fold\\e[31mer"}',
        r"data must name a class, got Fold\\x1b\[31mer",
    ),
]

CASES = [
    Case(
        f"config of {name}", "fit --config x.yaml --data.root data", line, _write(text)
    )
    for name, text, line in _ROWS
] + [
    Case("config of an unknown name", "fit --config camvit", "did you mean camvid"),
    Case("config that is a folder", "fit --config data", "config must be a file or"),
    Case("config without a value", "fit --config", "config must be a file or one of"),
    Case("no config", "fit", "data must be given"),
    Case("data without a class", "fit --data.root data", "data must be given, by a re"),
    Case("check of an empty config", "check --config x.yaml", "empty file", _write("")),
    Case("demo of a list", "demo --config x.yaml", "keys and values", _write("- a")),
    Case(
        "compare of a wrong key",
        "compare --config x.yaml --data FolderDataModule --data.root data --labels 2",
        "x.yaml: labls",
        _write("labls: [3]"),
    ),
]
