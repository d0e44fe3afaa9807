"""The recipes of the page on extending work in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, read_blocks

PAGE = ROOT / "docs/extending.md"

USE = """
import sys

import numpy as np, torch
from lightning.pytorch import Trainer
from pathlib import Path
from PIL import Image

import lightning_classmix
from lightning_classmix import ADE20KDataModule, ClassMix
from lightning_classmix.callbacks.mixed_weight import MixedWeight
from lightning_classmix.cli.main import main

assert Path(lightning_classmix.__file__).is_relative_to(Path.cwd())
for part, count in (("training", 16), ("validation", 1)):
    for number in range(count):
        for kind, suffix in (("images", "jpg"), ("annotations", "png")):
            path = Path("ade", kind, part, f"{number}.{suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((16, 16), number)
            pixels[:8] = 150
            if kind == "images":
                pixels = pixels[..., None].repeat(3, 2)
            Image.fromarray(pixels.astype(np.uint8)).save(path)

data = ADE20KDataModule("ade", labeled=0.5, crop=(16, 16), batch_size=2, num_workers=0)
data.prepare_data()
data.setup("fit")
assert data.num_classes == 150
assert set(np.unique(data.val[0]["label"])) == {149, 255}
module = ClassMix(
    150, network=torch.nn.Conv2d(3, 150, 1), mixer="stripes", weighting="confidence",
    labeled_only_steps=0, ramp_steps=0,
)
trainer = Trainer(
    max_steps=1, logger=False, callbacks=[MixedWeight()], accelerator="cpu",
    enable_progress_bar=False, enable_checkpointing=False,
)
trainer.fit(module, data)
mask = module.mixer(torch.zeros(1, 1, 16).long())
assert mask.tolist() == [[[True] * 8 + [False] * 8]]
assert 0 < trainer.callback_metrics["mixed_weight"] < 1
sys.argv = ["classmix", "masks"]
main()
sys.argv = ["classmix", *"fit --config ade20k --data.root ade --print_config".split()]
main()
"""


def recipes() -> dict[str, list[Block]]:
    """Return the blocks that change the package, by the heading they stand under."""
    text = PAGE.read_text()
    found: dict[str, list[Block]] = {}
    for block in read_blocks(PAGE):
        if block.title is not None:
            before = "\n".join(text.splitlines()[: block.line])
            heading = re.findall(r"(?m)^## (.+)$", before)[-1]
            found.setdefault(heading, []).append(block)
    return found


def apply(block: Block, folder: Path) -> None:
    """Write the file of a block, or change it as a diff says."""
    assert block.title is not None
    path = folder / block.title
    if block.language != "diff":
        assert not path.exists()
        path.write_text(block.code)
        return
    text = path.read_text()
    for hunk in block.code.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, f"{block}: {old}"
        text = text.replace(old, new)
    path.write_text(text)


def test_each_recipe_changes_the_files_that_the_page_names() -> None:
    package = "lightning_classmix"
    files = {
        heading: sorted(
            str(block.title).removeprefix(f"{package}/") for block in blocks
        )
        for heading, blocks in recipes().items()
    }
    assert files == {
        "A mask rule, a weighting, an augmentation": [
            "mixers.py",
            "ops/masks.py",
            "ops/pseudo_labels.py",
        ],
        "A dataset": ["__init__.py", "datamodules/ade20k.py", "recipes/ade20k.yaml"],
        "A callback": ["callbacks/mixed_weight.py"],
        "A command": ["cli/help.py", "cli/masks.py"],
    }


def test_the_code_of_a_dataset_has_at_most_60_lines() -> None:
    code = [block.code for block in recipes()["A dataset"] if block.language != "yaml"]
    assert len("".join(code).splitlines()) <= 60


@pytest.mark.slow
def test_the_recipes_work_in_a_copy_of_the_package(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "lightning_classmix", tmp_path / "lightning_classmix")
    for blocks in recipes().values():
        for block in blocks:
            apply(block, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "classmix cutmix cowmix stripes none" in done.stdout
    assert "ADE20KDataModule" in done.stdout
