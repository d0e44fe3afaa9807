"""The comparison on real images: its data sets and its files."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.experiments import compare_data
from lightning_classmix.experiments.compare import compare
from lightning_classmix.experiments.compare_methods import select_methods
from tests.images import make_folder
from tests.shell import Shell

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CONFIGS = sorted((BENCHMARKS / "real_images").glob("*.yaml"))
CONFIGS = [path for path in CONFIGS if path.stem != "candidates"]


@pytest.fixture
def prepare_sets() -> ModuleType:
    """Return the script that arranges the data sets."""
    path = BENCHMARKS / "prepare_sets.py"
    spec = importlib.util.spec_from_file_location("prepare_sets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_three_sets_are_compared_in_the_same_way() -> None:
    configs = [yaml.safe_load(path.read_text()) for path in CONFIGS]
    assert [path.stem for path in CONFIGS] == ["camvid", "magnetic_tile", "msrc21"]
    for config in configs:
        methods = select_methods(config["methods"], config["define"])
        for name, method in methods.items():
            method.check(name, config["shared"])
        assert config["define"]["recipe"] == configs[0]["define"]["recipe"]
        assert config["seeds"] == [0, 1, 2]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_files_are_arguments_of_compare(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    shell = Shell(tmp_path, monkeypatch, capsys)
    line = f"compare --config {path} --data.root data --print_config"
    status, out, errors = shell(line)
    assert status == 0, errors
    given, used = yaml.safe_load(path.read_text()), yaml.safe_load(out)
    assert all(used[key] == given[key] for key in ("methods", "rates", "define"))


def test_no_training_frame_is_near_a_validation_frame(prepare_sets: ModuleType) -> None:
    frames = [Path(f"{i:04}.jpg") for i in range(367)]
    train, val = prepare_sets.split_camvid(frames)
    train_indices, val_indices = ([int(p.stem) for p in part] for part in (train, val))
    assert len(val) == 100
    assert len(train) == 367 - 5 * 28
    assert min(abs(i - j) for i in train_indices for j in val_indices) == 5


def test_camvid_is_arranged_with_its_labels(
    prepare_sets: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    for folder in ("train", "trainannot", "val", "valannot"):
        (source / "camvid" / folder).mkdir(parents=True)
    for i in range(60):
        image = Image.new("RGB", (8, 6), (i, 0, 0))
        image.save(source / "camvid" / "train" / f"{i:02}.png")
        label = Image.fromarray(np.full((6, 8), i % 11, np.uint8))
        label.save(source / "camvid" / "trainannot" / f"{i:02}.png")
    arguments = ["prepare_sets.py", str(source), str(out), "--sets", "camvid"]
    monkeypatch.setattr(sys, "argv", arguments)
    prepare_sets.main()
    root = out / "camvid"
    for part, count in ((root, 32), (root / "val", 20)):
        images = sorted((part / "images").iterdir())
        assert len(images) == count
        for path in images:
            classes = np.array(Image.open(part / "labels" / path.name))
            assert (classes == int(path.stem) % 11).all()


def test_as_many_tiles_without_a_defect_are_kept_as_tiles_with_one(
    prepare_sets: ModuleType, tmp_path: Path
) -> None:
    tiles = [tmp_path / f"{i}.jpg" for i in range(10)]
    for i, tile in enumerate(tiles):
        label = np.zeros((4, 4), np.uint8)
        label[0, 0] = 5 if i < 3 else 0
        Image.fromarray(label).save(tile.with_suffix(".png"))
    kept = prepare_sets.balance_tiles(tiles, tmp_path)
    assert kept[:3] == tiles[:3]
    assert len(kept) == len({*kept}) == 6
    assert kept == sorted(kept)


def test_candidates_are_trained_and_scored_on_held_out_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = BENCHMARKS / "real_images"
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(compare_data, "HELD_OUT", 4)
    methods = yaml.safe_load((folder / "candidates.yaml").read_text())["define"]
    root = make_folder(tmp_path / "data", labeled=10, unlabeled=0)
    compare(
        FolderDataModule(root, crop=(16, 16), batch_size=2, num_workers=0),
        labels=[4],
        methods=["supervised", *methods],
        seeds=[0],
        steps=2,
        out=tmp_path / "out",
        shared={"model": "small_unet", "encoder_weights": None},
        define=methods,
        rates=[0.01],
    )
    capsys.readouterr()
    arguments = ["held_out.py", str(root), str(tmp_path / "out"), *methods]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.setattr("logging.Logger.setLevel", lambda logger, level: None)
    importlib.import_module("held_out").main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    networks = [("supervised", "student")]
    networks += [(name, part) for name in methods for part in ("student", "teacher")]
    assert [(row[0][2:], row[1]) for row in rows] == networks + networks[1:]
    assert {row[2] for row in rows} == {"0", "mean of 1"}
