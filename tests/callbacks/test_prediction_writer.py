from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import FolderDataModule, Supervised
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from tests import tiny
from tests.images import make_folder, save_pair


def predict(
    root: Path,
    folder: Path,
    out: Path,
    **data_options: Any,
) -> PredictionWriter:
    writer = PredictionWriter(str(out))
    data = FolderDataModule(
        str(root), predict=str(folder), num_workers=0, **data_options
    )
    module = Supervised(3, network=tiny.network(), mean=data.mean, std=data.std)
    trainer = tiny.trainer(callbacks=[writer])
    trainer.predict(module, data)
    return writer


def test_labels_and_overlays_have_the_size_of_the_image(
    tmp_path: Path,
) -> None:
    root, new = make_folder(tmp_path / "data"), tmp_path / "new"
    sizes = {"a": (9, 7), "deep/b": (20, 31)}
    for name, size in sizes.items():
        save_pair(new / f"{name}.jpg", None, size=size)
    writer = predict(root, new, tmp_path / "run")
    assert (writer.written, writer.faults) == (2, [])
    for name, (height, width) in sizes.items():
        with Image.open(tmp_path / f"run/predictions/labels/{name}.png") as label:
            assert (label.mode, label.size) == ("P", (width, height))
            assert np.asarray(label).max() < 3
        with Image.open(tmp_path / f"run/predictions/overlays/{name}.png") as overlay:
            assert (overlay.mode, overlay.size) == ("RGB", (width, height))


def test_an_overlay_is_the_mean_of_image_and_class_color(tmp_path: Path) -> None:
    root, new = make_folder(tmp_path / "data"), tmp_path / "new"
    save_pair(new / "a.png", None)
    predict(root, new, tmp_path / "run", mean=(0.1, 0.3, 0.6))
    label = Image.open(tmp_path / "run/predictions/labels/a.png")
    expected = np.asarray(label.convert("RGB")).astype(float) / 2
    expected += np.asarray(Image.open(new / "a.png")).astype(float) / 2
    overlay = np.asarray(Image.open(tmp_path / "run/predictions/overlays/a.png"))
    assert np.abs(overlay - expected).max() <= 1


def test_existing_predictions_are_not_overwritten(tmp_path: Path) -> None:
    root, new = make_folder(tmp_path / "data"), tmp_path / "new"
    save_pair(new / "a.png", None)
    predict(root, new, tmp_path / "run")
    file = tmp_path / "run/predictions/labels/a.png"
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match="an empty or new folder"):
        predict(root, new, tmp_path / "run")
    assert file.read_bytes() == before


def test_an_unreadable_image_is_reported_and_the_others_are_predicted(
    tmp_path: Path,
) -> None:
    root, new = make_folder(tmp_path / "data"), tmp_path / "new"
    save_pair(new / "a.png", None)
    save_pair(new / "c.png", None)
    (new / "b.png").write_bytes(b"no image")
    writer = predict(root, new, tmp_path / "run")
    assert writer.written == 2
    assert len(writer.faults) == 1
    assert "b.png" in writer.faults[0]
    written = sorted((tmp_path / "run/predictions/labels").iterdir())
    assert [path.name for path in written] == ["a.png", "c.png"]
