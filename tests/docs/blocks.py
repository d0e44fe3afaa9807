"""Read the code blocks of the README and the docs, and run them.

A page is one script: its blocks run in order, in one folder and one Python namespace.

* ``python`` blocks are executed, ``bash`` blocks are commands of ``classmix``.
* A block with ``title="FILE"`` is written to that file.
* ``<!-- not run: REASON -->`` before a block leaves it out, and
  ``<!-- parse only: REASON -->`` only parses its commands.
"""

import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.cli.main import main
from tests.images import (
    make_camvid,
    make_cityscapes,
    make_folder,
    make_voc,
    save_pair,
)

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run|parse only): (?P<reason>[^\n]+) -->\n)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$',
    flags=re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced code block of a page."""

    page: Path
    line: int
    language: str
    code: str
    title: str | None
    mark: str | None
    """``not run``, ``parse only`` or None."""

    def __str__(self) -> str:
        """Return where the block stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a ``bash`` block."""
        return [line for line in self.code.splitlines() if line.strip()]


def read_blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page.

    Raises:
        ValueError: If a line that opens or closes a block belongs to none.
    """
    text = page.read_text()
    found = [
        Block(
            page,
            text[: match.start("code")].count("\n"),
            match["language"],
            match["code"],
            match["title"],
            match["mark"],
        )
        for match in _FENCE.finditer(text)
    ]
    fences = len(re.findall(r"^ *```", text, flags=re.MULTILINE))
    if fences != 2 * len(found):
        raise ValueError(f"{page} must have two fences a block, got {fences}")
    return found


def make_workspace(folder: Path, text: str) -> None:
    """Create the small datasets that the blocks of a page name."""
    if "FOLDER" in text:
        make_folder(folder / "FOLDER")
    if "NEW_IMAGES" in text:
        save_pair(folder / "NEW_IMAGES/new.png", None)
    if "LABELME" in text:
        corners = [(4, 4), (20, 4), (20, 16)]
        for index in range(8):
            save_pair(folder / f"LABELME/{index}.jpg", None)
            shapes = [{"label": "roof", "points": corners}]
            content = {"imagePath": f"{index}.jpg", "shapes": shapes}
            (folder / f"LABELME/{index}.json").write_text(json.dumps(content))
    if "SCANS" in text:
        for path in make_folder(folder / "SCANS").rglob("labels/*.png"):
            values = np.array([0, 100, 200], np.uint8)[np.asarray(Image.open(path))]
            Image.fromarray(values).save(path)
    if "CAMVID" in text:
        make_camvid(folder / "CAMVID")
    if "CITYSCAPES" in text:
        make_cityscapes(folder / "CITYSCAPES")
    if "VOC" in text:
        make_voc(folder / "VOC")


_TRAINER = (
    "--trainer.max_steps 2 --trainer.val_check_interval 2 --trainer.accelerator cpu"
    " --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
_SMALL = {
    "folder": "--data.crop [32,32] --data.num_workers 0 --data.batch_size 2"
    " --data.unlabeled_batch_size 2 --model.model unet --model.encoder resnet18"
    f" --model.encoder_weights null {_TRAINER}",
    "street_scenes": "--data.labeled 4 --data.unlabeled 4 --data.val 2 --data.test 2"
    f" --data.size [32,48] {_TRAINER}",
}
"""Flags that make the run of a recipe short; those of the page come after them."""


def shorten_command(words: list[str]) -> list[str]:
    """Return a command of the page with the flags that make it short."""
    if words[0] not in ("fit", "validate", "test", "predict") or "--help" in words:
        return words
    if any(word.endswith((".help", "--print_config")) for word in words):
        return words
    for recipe, flags in _SMALL.items():
        if recipe in words:
            after = words.index(recipe) + 1
            if words[0] != "fit":
                flags = flags.replace("--trainer.max_steps 2", "")
                flags = flags.replace("--trainer.val_check_interval 2", "")
            short = re.sub(
                r"(max_steps) \d{3,}", r"\1 4", " ".join([flags, *words[after:]])
            )
            return [*words[:after], *short.split()]
    return words


def run_command(line: str, monkeypatch: pytest.MonkeyPatch, *, parse: bool) -> None:
    """Run, or parse, one command line in this process.

    Raises:
        ValueError: If the line is no command of ``classmix``.
        SystemExit: If the command fails.
    """
    words = shlex.split(line)
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    if words[0] != "classmix":
        raise ValueError(f"a command must begin with classmix, got {line}")
    words = [*words[1:], "--print_config"] if parse else shorten_command(words[1:])
    monkeypatch.setattr(sys, "argv", ["classmix", *words])
    try:
        main()
    except SystemExit as end:
        if end.code not in (0, None):
            raise


_SHORTER = {
    r"StreetScenesDataModule\(\)": "StreetScenesDataModule(4, 4, 2, 2, (32, 48))",
    r"max_steps=\d+": "max_steps=2",
    r'"deeplabv3plus", encoder="resnet50"': '"unet", encoder="resnet18"',
    r"\((256, 256|320, 320)\)": "(32, 32)",
}
"""Patterns in Python blocks, and what makes them short."""


def shorten_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modules mix from the second step on, and download nothing."""
    defaults: Any = ClassMix.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "labeled_only_steps", 1)
    defaults = Supervised.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "encoder_weights", None)
    for name in ("ENABLE_PROGRESS_BAR", "ENABLE_MODEL_SUMMARY"):
        monkeypatch.setenv(f"PL_TRAINER_{name}", "False")
    monkeypatch.setenv("PL_TRAINER_ACCELERATOR", "cpu")


def run_block(
    block: Block, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a block in the current folder and the namespace ``names``.

    Raises:
        ValueError: If it is of no kind that can be run.
    """
    if block.title is not None:
        Path(block.title).write_text(block.code)
    elif block.language == "python":
        code = block.code
        for pattern, short in _SHORTER.items():
            code = re.sub(pattern, short, code)
        exec(compile(code, str(block), "exec"), names)
    elif block.language == "bash":
        for line in block.commands:
            run_command(line, monkeypatch, parse=block.mark == "parse only")
    else:
        raise ValueError(
            f"{block} must be python, bash, a file with a title, or marked as not run,"
            f" got {block.language or 'no language'}"
        )
