"""A wheel contains all that the package needs: recipes, split lists, class paths."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.datasets import splits

ROOT = Path(__file__).parents[2]
SPLIT = "pascal_voc/unimatch/1_8.txt"


def run(*command: str, folder: Path, site: Path | None = None) -> str:
    """Run a command of Python in a folder; return its output."""
    environment = os.environ | {"PYTHONPATH": str(site or ""), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_wheel(folder: Path) -> Path:
    """Build a wheel from a copy of the sources, and install it into a folder."""
    source, site = folder / "source", folder / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    package = ROOT / "lightning_classmix"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, source / package.name, ignore=ignored)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    build = (
        "wheel",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        ".",
        "./source",
    )
    run(*pip, *build, folder=folder)
    (wheel,) = folder.glob("*.whl")
    install = ("install", "--no-index", "--no-deps", "--target", "site", str(wheel))
    run(*pip, *install, folder=folder)
    return site


def make_named_voc(root: Path, labeled: list[str], others: list[str]) -> Path:
    """Write tiny images in the layout of Pascal VOC, the last two for validation."""
    base = root / "VOCdevkit/VOC2012"
    for name in (
        "JPEGImages",
        "SegmentationClass",
        "SegmentationClassAug",
        "ImageSets/Segmentation",
    ):
        (base / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in labeled + others:
        image = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(image).save(base / f"JPEGImages/{name}.jpg")
        label = Image.fromarray(rng.integers(0, 21, (16, 16), np.uint8))
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            label.save(base / f"{folder}/{name}.png")
    lists = {"train": labeled, "trainaug": labeled + others[:-2], "val": others[-2:]}
    for part, names in lists.items():
        (base / f"ImageSets/Segmentation/{part}.txt").write_text("\n".join(names))
    return root


@pytest.mark.slow
def test_an_installed_wheel_checks_and_trains_on_a_published_split(
    tmp_path: Path,
) -> None:
    site = install_wheel(tmp_path)
    lists = Path(splits.__file__).parent / "split_lists"
    labeled = (lists / SPLIT).read_text().split()
    others = [f"2099_{index:06d}" for index in range(6)]
    make_named_voc(tmp_path / "voc", labeled, others)
    script = "import lightning_classmix; print(lightning_classmix.__file__)"
    where = run("-c", script, folder=tmp_path, site=site)
    assert Path(where.strip()).is_relative_to(site)

    classmix = ("-m", "lightning_classmix")
    data = ("--config", "pascal_voc", "--data.root", "voc")
    split = ("--data.split", "unimatch/1_8")
    found = run(*classmix, "check", *data, *split, folder=tmp_path, site=site)
    assert "1323" in found
    network = ("--model.encoder", "resnet18", "--model.encoder_weights", "null")
    sizes = ("--data.crop", "[16,16]", "--data.unlabeled_batch_size", "2")
    steps = ("--trainer.max_steps", "2", "--trainer.val_check_interval", "2")
    devices = ("--trainer.accelerator", "cpu", "--data.num_workers", "0")
    arguments = (*data, *split, *network, *sizes, *steps, *devices)
    fitted = run(*classmix, "fit", *arguments, folder=tmp_path, site=site)
    assert "best checkpoint: " in fitted
    chosen = tmp_path / "lightning_logs/version_0/split.txt"
    assert chosen.read_text().split() == sorted(labeled)
