"""Bad arguments of the commands other than ``fit``."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import CHECK, Case

_COMPARE = "compare --data FolderDataModule --data.root data"
_PREDICT = "predict-images data/images --ckpt_path nowhere.ckpt --out o"


def _file(folder: Path) -> None:
    (folder / "taken").write_text("mine")


def _run(name: str, content: bytes) -> Callable[[Path], None]:
    """Return a function that writes a run with one file of a given content."""

    def make(folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "run/metrics.csv").write_text("step,train_loss\n0,1.5\n1,1.0\n")
        (folder / "run" / name).write_bytes(content)

    return make


_ROWS = [
    ("", "the command must be one of fit, validate, test, predict, demo"),
    ("fitt", "got fitt; did you mean fit"),
    ("--nonsense", "nonsense is not an argument"),
    ("-x", "is not an argument"),
    ("fit --version", "version is not an argument"),
    ("check", "data must be given, by a recipe such as --config folder"),
    ("check --config nowhere", "config must be a file or one of camvid"),
    ("check --data FolderDataModule", "data.root must be given"),
    ("check --data FolderDataModule --data.root nowhere", "root must be a folder"),
    ("check --config street_scenes", "accepts, got StreetScenesDataModule"),
    (f"{CHECK} --data.num_clases 3", "num_clases is not an argument of FolderData"),
    (f"{CHECK} --json maybe", "maybe is not an argument"),
    (f"{CHECK} --jsn", "jsn is not an argument; did you mean json"),
    ("split", "data must be given"),
    (f"split{CHECK[5:]} --out data", "out must be a new file, got data"),
    (f"split{CHECK[5:]} --data.labeled 99", r"labeled must be in \[1, 6\]"),
    ("demo --steps 0", "steps must be at least 1, got 0"),
    ("demo --steps -3", "steps must be at least 1, got -3"),
    ("demo --steps abc", "steps must be int, got abc"),
    ("demo --steps", "steps must have a value, got none"),
    ("demo --seed -1", r"seed must be in \[0, 4294967295\], got -1"),
    ("demo --seed 99999999999", r"seed must be in \[0, 4294967295\], got 99999"),
    ("demo --out recipe.yaml", "recipe.yaml cannot be used: File exists; a file is"),
    ("demo --nonsense", "nonsense is not an argument"),
    ("demo --sed 3", "sed is not an argument; did you mean seed"),
    ("export", "ckpt_path, out must be given"),
    ("export --ckpt_path nowhere.ckpt --out o", "checkpoint must be a file, got now"),
    ("export --ckpt_path x --out o --format onxn", "got onxn; did you mean onnx"),
    ("export --ckpt_path x --out o --network both", "one of student, teacher or null"),
    ("predict-images", "inputs, ckpt_path, out must be given"),
    (_PREDICT, "checkpoint must be a file, got nowhere.ckpt"),
    (_PREDICT.replace("data/images", "no.png"), "got 'no.png', which matches no file"),
    (f"{_PREDICT} --precision 8", "one of 32-true, 16-mixed, bf16-mixed, got 8"),
    (f"{_PREDICT} --window 5", "window must be a list or null, got 5"),
    (f"{_PREDICT} --blend x", "blend must be one of uniform, gaussian, got x"),
    (f"{_PREDICT} --out recipe.yaml", "out must be a folder, got the file recipe"),
    (_PREDICT.replace("--out o", "--out data/images"), "out must not be a folder of t"),
    ("convert", "source, from, out must be given"),
    (
        "convert nowhere --from coco --out o",
        "source must be a file or folder, got nowhere",
    ),
    ("convert recipe.yaml --from coco --out o", "recipe.yaml must be JSON"),
    ("convert recipe.yaml --from coc --out o", "got coc; did you mean coco"),
    ("convert recipe.yaml --from coco --out data", "out must be an empty or new fold"),
    ("report", "run must be given"),
    ("report nowhere", "run must be a folder .* got nowhere"),
    ("report data", "run must be a folder .* got data"),
    ("compare", "data must be given"),
    (_COMPARE, "labels must be given"),
    (f"{_COMPARE} --labels 2 --steps 0", "steps must be at least 1, got 0"),
    (f"{_COMPARE} --labels 2 --jobs 0", "jobs must be at least 1, got 0"),
    (f"{_COMPARE} --labels 2 --threads 0", "threads must be at least 1, got 0"),
    (f"{_COMPARE} --labels 2 --methods foo", "methods must be among .* got 'foo'"),
    (f"{_COMPARE} --labels 2 --rates -1", "rates must be greater than 0, got -1"),
    (f"{_COMPARE} --labels 2 --rates 0", "rates must be greater than 0, got 0"),
    (f"{_COMPARE} --labels 2 --rates 1,1", "rates must be distinct, got 1.0, 1.0"),
    (f"{_COMPARE} --labels 2 --rates", "rates must have at least 1 value, got none"),
    (f"{_COMPARE} --labels 2 --shared.lr nan", "shared.lr must be greater than 0, go"),
    (f"{_COMPARE} --labels 2 --seeds -1", r"seeds must be in \[0, 4294967295\], got"),
    (f"{_COMPARE} --labels 2 --seeds 9999999999", "seeds must be in .* got"),
    (f"{_COMPARE} --labels 2 --seeds", "seeds must have at least 1 value, got none"),
    (f"{_COMPARE} --labels", "labels must have at least 1 value, got none"),
    (f"{_COMPARE} --labels 0", "labels must be 'all' or at least 1, got 0"),
    (f"{_COMPARE} --labels 2,2", "labels must be distinct, got 2, 2"),
    (f"{_COMPARE} --labels 1.5", r"labels must be 'all' or at least 1, got .*1\.5"),
    (f"{_COMPARE} --labels 2 --rates nan", "rates must be .* got nan"),
    (f"{_COMPARE} --labels 2 --seeds 1,1", "seeds must be distinct, got 1, 1"),
    (f"{_COMPARE} --labels 2 --out recipe.yaml", "recipe.yaml"),
    (f"{_COMPARE} --labels 2 --shared.lrr 3", "got lrr; did you mean lr"),
    (f"{_COMPARE} --labels 2 --define.x 3", "define must be"),
    ("test --config recipe.yaml --data.root data", "ckpt_path must be given to test"),
    ("predict --config recipe.yaml --data.root data", "ckpt_path must be given to pre"),
]

CASES = [Case(command or "no command", command, line) for command, line in _ROWS]
CASES += [
    Case(
        "report of a run whose config.yaml is no text",
        "report run",
        "config.yaml must be YAML, got: .*can't decode",
        _run("config.yaml", b"\x00\xff"),
    ),
    Case(
        "report of a run whose metrics.csv is no text",
        "report run",
        "metrics.csv must hold numbers in columns",
        _run("metrics.csv", b"step,a\n\xff\xff,1\n"),
    ),
    Case(
        "report of a run whose metrics.csv is cut off",
        "report run",
        "metrics.csv must hold numbers in columns",
        _run("metrics.csv", b'step,a\n1,0.5\n2,"0.1\n3'),
    ),
    Case(
        "report of a run whose validation.json is a list",
        "report run",
        "validation.json must be written by ValidationRecord, got no step",
        _run("validation.json", b"[1, 2]"),
    ),
    Case(
        "report of a run whose validation.json holds numbers for images",
        "report run",
        "validation.json must be written by ValidationRecord, got no worst, best",
        _run(
            "validation.json",
            b'{"step": 1, "evaluate": "student", "class_names": ["a"], "scores": {},'
            b' "worst": 5, "best": [5]}',
        ),
    ),
    Case(
        "report to a folder",
        "report run --out data",
        "data cannot be used: Is a directory; a folder is in the place of a file",
        _run("notes.txt", b""),
    ),
    Case(
        "report to a name that is too long",
        f"report run --out {'x' * 300}.html",
        "cannot be used: File name too long; its name is too long",
        _run("notes.txt", b""),
    ),
    Case(
        "split to a file that exists",
        f"split{CHECK[5:]} --out taken",
        "out must be a new file, got taken",
        _file,
    ),
]
