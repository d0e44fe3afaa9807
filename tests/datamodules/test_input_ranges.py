from typing import Any

import numpy as np
import pytest
import torch

from lightning_classmix import SemiSupervisedDataModule
from lightning_classmix.datamodules.input_ranges import check_input_ranges
from lightning_classmix.datasets.preprocessing import Preprocessing

LABEL = np.zeros((4, 4), np.uint8)
PIXELS = (np.arange(48, dtype=np.uint8).reshape(4, 4, 3), LABEL)
NORMALIZED = (torch.linspace(-2, 2, 48).view(3, 4, 4), LABEL)
UNIT = (torch.linspace(0, 1, 48).view(3, 4, 4), LABEL)
LARGE = (torch.linspace(0, 255, 48).view(3, 4, 4), LABEL)
CONSTANT = (torch.zeros(3, 4, 4), LABEL)


def check(*items: Any) -> None:
    sets = [None if item is None else [item] * 2 for item in items]
    check_input_ranges(sets, Preprocessing())


@pytest.mark.filterwarnings("ignore:float images are used unchanged")
@pytest.mark.parametrize(
    "items",
    [
        (PIXELS, NORMALIZED, None),
        (NORMALIZED, PIXELS, None),
        (NORMALIZED, UNIT, None),
        (UNIT, LARGE, None),
        (PIXELS, None, NORMALIZED),
    ],
)
def test_images_of_different_kinds_are_an_error(items: Any) -> None:
    with pytest.raises(ValueError, match="must be of the same kind, got"):
        check(*items)


def test_images_of_the_same_kind_are_accepted() -> None:
    check(PIXELS, PIXELS, PIXELS)
    check(NORMALIZED, NORMALIZED, None)
    check(UNIT, UNIT, UNIT)
    check(NORMALIZED, CONSTANT, None)


def test_float_images_that_are_not_normalized_are_warned_of() -> None:
    with pytest.warns(
        UserWarning, match=r"labeled holds values in \[0, 255\], .*uint8"
    ):
        check(LARGE, None, None)


def test_a_fit_with_mixed_sources_is_refused() -> None:
    data = SemiSupervisedDataModule([PIXELS] * 4, [NORMALIZED[0]] * 4, batch_size=2)
    with pytest.raises(ValueError, match="normalized float tensors in unlabeled"):
        data.setup("fit")


def test_nan_in_a_validation_image_is_named() -> None:
    broken = NORMALIZED[0].clone()
    broken[0, 0, 0] = torch.nan
    data = SemiSupervisedDataModule(
        [NORMALIZED] * 4, val=[NORMALIZED, (broken, LABEL)], batch_size=2
    )
    with pytest.raises(ValueError, match="got NaN or infinity in item 1"):
        list(data.val_dataloader())
