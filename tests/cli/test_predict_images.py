import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_classmix import Predictor, Supervised
from lightning_classmix.cli.main import main
from lightning_classmix.cli.predict_images import input_arguments
from tests import tiny
from tests.images import save_pair


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    module = Supervised(
        3,
        model="small_unet",
        model_options={"width": 4},
        class_names=["a", "b", "c"],
        lr=0.0,
    )
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    return tmp_path / "run.ckpt"


def run(line: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["classmix", "predict-images", *line.split()])
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b --out c", '--inputs=["a", "b"] --out c'),
        ("--out c --inputs a", '--out c --inputs=["a"]'),
        ("--out c --inputs=a b", '--out c --inputs=["a", "b"]'),
        ("--inputs a b --out c", '--inputs=["a", "b"] --out c'),
        ("--inputs [a,b] --out c", "--inputs=[a,b] --out c"),
        ("--inputs=[a] --out c", "--inputs=[a] --out c"),
        ("--inputs", ""),
        ("--inputs=", '--inputs=[""]'),
        ("--out c", "--out c"),
        ("", ""),
    ],
)
def test_paths_are_accepted_with_and_without_their_option(
    line: str, expected: str
) -> None:
    assert " ".join(input_arguments(line.split())) == expected


def test_files_folders_and_patterns_are_predicted(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    new = tmp_path / "new"
    save_pair(new / "deep/a.png", None, size=(20, 31), seed=1)
    save_pair(tmp_path / "b.jpg", None, size=(9, 7), seed=2)
    save_pair(tmp_path / "c1.png", None, seed=3)
    save_pair(tmp_path / "c2.png", None, seed=4)
    out = tmp_path / "out"
    line = f"{new} {tmp_path}/b.jpg {tmp_path}/c?.png --ckpt_path {checkpoint}"
    status, text = run(
        f"{line} --out {out} --device cpu --probabilities true", monkeypatch, capsys
    )
    assert (status, "4 predictions" in text) == (0, True)
    files = {"deep/a": new / "deep/a.png", "b": tmp_path / "b.jpg"}
    files |= {name: tmp_path / f"{name}.png" for name in ("c1", "c2")}
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    with (out / "class_shares.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows.keys() == files.keys()
    for name, path in files.items():
        expected = predictor(path)
        with Image.open(out / f"labels/{name}.png") as image:
            assert image.mode == "P"
            assert torch.equal(torch.from_numpy(np.array(image)), expected)
        with Image.open(out / f"overlays/{name}.png") as image:
            assert np.array_equal(np.array(image), predictor.overlay(path, expected))
        probabilities = np.load(out / f"probabilities/{name}.npy")
        assert probabilities.shape == (3, *expected.shape)
        share = (expected == 1).double().mean().item()
        assert float(rows[name]["b"]) == pytest.approx(share, abs=1e-6)
    assert not list(out.rglob("*.part"))


def test_a_broken_image_is_reported_and_left_out(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    save_pair(tmp_path / "new/a.png", None)
    (tmp_path / "new/b.png").write_bytes(b"no image")
    line = f"{tmp_path}/new --ckpt_path {checkpoint} --out {tmp_path}/out --device cpu"
    status, text = run(line, monkeypatch, capsys)
    assert status == 1
    assert "1 images were left out" in text
    assert "b.png" in text
    written = [path.name for path in (tmp_path / "out/labels").iterdir()]
    assert written == ["a.png"]


def test_a_name_that_is_not_utf8_is_listed_as_it_is(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    save_pair(tmp_path / "new" / os.fsdecode(b"caf\xe9.png"), None)
    line = f"{tmp_path}/new --ckpt_path {checkpoint} --out {tmp_path}/out --device cpu"
    assert run(line, monkeypatch, capsys)[0] == 0
    header, row = (tmp_path / "out/class_shares.csv").read_bytes().splitlines()
    assert header == b"name,a,b,c"
    assert row.startswith(b"caf\xe9,")


def test_an_input_that_matches_nothing_is_refused(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    line = f"{tmp_path}/none*.png --ckpt_path {checkpoint} --out {tmp_path}/out"
    status, text = run(line, monkeypatch, capsys)
    assert status == 1
    assert "which matches no file" in text
    assert not (tmp_path / "out").exists()


def test_images_of_the_same_name_are_refused(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    save_pair(tmp_path / "x/a.png", None)
    save_pair(tmp_path / "y/a.png", None)
    line = f"{tmp_path}/x {tmp_path}/y --ckpt_path {checkpoint} --out {tmp_path}/out"
    status, text = run(line, monkeypatch, capsys)
    assert status == 1
    assert "must have different names" in text


MEMORY = """
import resource, sys
from lightning_classmix.cli.main import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    main()
except SystemExit as end:
    assert not end.code
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded_for_a_large_image(tmp_path: Path, checkpoint: Path) -> None:
    side = 4000
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(tmp_path / "large.png")
    line = f"predict-images {tmp_path}/large.png --ckpt_path {checkpoint}"
    line += f" --out {tmp_path}/out --device cpu --window [256,256]"
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, *line.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    pixels = side * side / 2**20
    # All probabilities and logits at once would take 24 bytes per pixel more.
    assert int(result.stdout.split()[-1]) < 20 * pixels + 200


def test_a_geotiff_is_predicted_to_a_geotiff(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(
        tmp_path / "field.tif",
        "w",
        **{"driver": "GTiff", "height": 20, "width": 31, "count": 3, "dtype": "uint8"},
        crs="EPSG:32633",
        transform=rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000),
    ) as file:
        file.write(np.random.default_rng(0).integers(0, 256, (3, 20, 31), np.uint8))
    out = tmp_path / "out"
    line = f"{tmp_path}/field.tif --ckpt_path {checkpoint} --out {out} --device cpu"
    assert run(line, monkeypatch, capsys)[0] == 0
    with rasterio.open(out / "labels/field.tif") as file:
        assert file.crs.to_epsg() == 32633
        assert file.transform.e == -2
        label = file.read(1)
    assert np.array_equal(label, np.asarray(Image.open(out / "labels/field.png")))


@pytest.mark.parametrize("out", ["new/out", "."])
def test_earlier_predictions_are_no_inputs(
    tmp_path: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    out: str,
) -> None:
    save_pair(tmp_path / "new/a.png", None)
    line = f"{tmp_path}/new --ckpt_path {checkpoint} --device cpu"
    for _ in range(2):
        status, text = run(f"{line} --out {tmp_path / out}", monkeypatch, capsys)
        assert (status, text.strip()) == (0, f"1 predictions: {tmp_path / out}")
