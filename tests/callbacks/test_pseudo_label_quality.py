import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_classmix import ClassMix
from lightning_classmix.callbacks.pseudo_label_quality import PseudoLabelQuality
from tests import tiny

VOID = 255


class Brightest(nn.Module):
    """Predicts the brightest channel, which is the true label of `tiny.pairs`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Tensor:
        return image * self.scale


def module(network: nn.Module, **options: Any) -> ClassMix:
    return ClassMix(
        tiny.CLASSES, network=network, augment="none", **{"ramp_steps": 0, **options}
    )


def hidden() -> list[dict[str, Tensor]]:
    images, labels = zip(*tiny.pairs(4, seed=1), strict=True)
    return [{"image": torch.stack(images), "label": torch.stack(labels)}]


def test_right_pseudo_labels_have_a_miou_and_a_recall_of_1() -> None:
    reading = PseudoLabelQuality(hidden()).read(module(Brightest()))
    assert reading["miou"] == 1
    assert reading["recall"] == [1, 1, 1]
    assert reading["share"] == reading["true_share"]


def test_wrong_and_void_pixels_are_counted_in_the_rows_of_the_true_classes() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[:, 0] = 1  # all pixels are predicted as class 0
    batch = {"image": image, "label": torch.tensor([[[0, 1, 1, VOID]]])}
    reading = PseudoLabelQuality([batch]).read(module(Brightest()))
    assert reading["confusion"] == [[1, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert reading["iou"][:2] == [pytest.approx(1 / 3), 0]
    assert math.isnan(reading["iou"][2])
    assert reading["miou"] == pytest.approx(1 / 6)
    assert reading["share"] == [1, 0, 0]
    assert reading["true_share"] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 0]


def test_readings_begin_with_the_mixing_and_are_logged() -> None:
    model = module(tiny.network(), labeled_only_steps=3)
    quality = PseudoLabelQuality(hidden(), every_n_steps=4)
    trainer = tiny.trainer(max_steps=12, callbacks=[quality], log_every_n_steps=1)
    trainer.fit(model, tiny.data())
    assert [reading["step"] for reading in quality.history] == [3, 7, 11]
    logged = trainer.callback_metrics
    assert logged["pseudo_label/miou"] == pytest.approx(quality.history[-1]["miou"])
    assert {f"pseudo_label/recall/{i}" for i in range(3)} <= logged.keys()


def test_a_reading_is_taken_once_in_an_accumulation_window() -> None:
    model = module(tiny.network(), labeled_only_steps=0)
    quality = PseudoLabelQuality(hidden(), every_n_steps=2)
    trainer = tiny.trainer(max_steps=4, callbacks=[quality], accumulate_grad_batches=2)
    trainer.fit(model, tiny.data())
    assert [reading["step"] for reading in quality.history] == [0, 2]


def test_readings_do_not_change_the_training() -> None:
    ends = []
    for callbacks in ([], [PseudoLabelQuality(hidden(), every_n_steps=1)]):
        torch.manual_seed(0)
        model = module(tiny.network(), labeled_only_steps=0, teacher_mode="train")
        tiny.trainer(max_steps=4, callbacks=callbacks).fit(model, tiny.data())
        ends.append(model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
