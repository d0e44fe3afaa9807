import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_classmix import ClassMix, FolderDataModule, Supervised
from lightning_classmix.callbacks.pictures import Pictures
from lightning_classmix.callbacks.validation_record import (
    ValidationRecord,
    image_miou,
)
from tests import tiny
from tests.images import make_folder


def record(folder: Path) -> Any:
    return json.loads((folder / "validation.json").read_text())


def validate(folder: Path, model: Any, data: Any, **options: Any) -> Any:
    trainer = tiny.trainer(
        default_root_dir=folder, callbacks=[ValidationRecord(**options)]
    )
    trainer.validate(model, data, verbose=False)
    return record(folder)


def test_the_record_holds_the_scores_of_every_network(tmp_path: Path) -> None:
    model = ClassMix(tiny.CLASSES, network=tiny.network())
    found = validate(tmp_path, model, tiny.data())
    assert found["class_names"] == ["0", "1", "2"]
    assert found["evaluate"] == "teacher"
    for network, scores in model.scores.items():
        assert found["scores"][network]["iou"] == scores["iou"].tolist()
        matrix = torch.tensor(found["scores"][network]["confusion"])
        assert matrix.equal(scores["confusion"])
        assert matrix.sum() == 4 * 64


def test_the_extreme_images_are_found_and_shown(tmp_path: Path) -> None:
    class Copy(torch.nn.Conv2d):
        """Predict the brightest channel, which is the true class."""

        def forward(self, input: Tensor) -> Tensor:
            return input * self.weight.sum().detach().sign().abs()

    images = [image for image, _ in tiny.pairs(5)]
    labels = [image.argmax(0) for image in images]
    for index, rows in ((1, 8), (3, 4), (4, 1)):  # rows with the wrong truth
        labels[index][:rows] = (labels[index][:rows] + 1) % 3
    batches = [
        {
            "image": torch.stack(images[start:end]),
            "label": torch.stack(labels[start:end]),
        }
        for start, end in ((0, 3), (3, 5))
    ]
    model = Supervised(tiny.CLASSES, network=Copy(3, 3, 1))
    found = validate(tmp_path, model, tiny.loader(*batches), images=2)
    assert [entry["name"] for entry in found["worst"]] == ["image 1", "image 3"]
    assert {entry["name"] for entry in found["best"]} == {"image 0", "image 2"}
    assert [entry["miou"] for entry in found["best"]] == [1.0, 1.0]
    for entry in found["worst"] + found["best"]:
        assert (tmp_path / entry["file"]).is_file()


def test_images_of_files_keep_their_names(tmp_path: Path) -> None:
    data = FolderDataModule(make_folder(tmp_path / "data"), num_workers=0, size=(8, 8))
    model = Supervised(tiny.CLASSES, network=tiny.network())
    names = {entry["name"] for entry in validate(tmp_path, model, data)["worst"]}
    assert names == {"v0", "v1"}


def test_the_score_of_an_image_is_the_mean_over_the_classes_of_its_label() -> None:
    label = torch.tensor([[0, 0, 1, 255]])
    assert image_miou(torch.tensor([[0, 2, 1, 1]]), label, 3) == pytest.approx(0.75)
    void = torch.full((1, 4), 255)
    assert math.isnan(image_miou(torch.zeros_like(void), void, 3))


def test_a_class_without_pixels_has_null_in_the_record(tmp_path: Path) -> None:
    network = torch.nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        network.bias[3] = -1e9  # type: ignore[index]
    found = validate(tmp_path, Supervised(4, network=network), tiny.data())
    assert found["scores"]["student"]["iou"][3] is None


def test_batches_may_be_tuples(tmp_path: Path) -> None:
    image, label = map(torch.stack, zip(*tiny.pairs(2), strict=True))
    model = Supervised(tiny.CLASSES, network=tiny.network())
    callbacks = [ValidationRecord(), Pictures()]
    trainer = tiny.trainer(default_root_dir=tmp_path, callbacks=callbacks)
    trainer.validate(model, tiny.loader((image, label)), verbose=False)
    assert len(record(tmp_path)["worst"]) == 2
    assert (tmp_path / "pictures/validation-00000000.png").is_file()


def test_nothing_is_written_by_a_fast_dev_run(tmp_path: Path) -> None:
    model = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(
        default_root_dir=tmp_path, callbacks=[ValidationRecord()], fast_dev_run=1
    )
    trainer.fit(model, tiny.data())
    assert not list(tmp_path.iterdir())
