from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from lightning_classmix.datasets.preprocessing import Preprocessing


def test_settings_are_restored_from_a_plain_dict() -> None:
    settings = Preprocessing(size=(20, 30), mean=(0.1, 0.2, 0.3))
    plain = asdict(settings)
    assert Preprocessing(**plain) == settings
    plain["size"] = [20, 30]  # as a YAML file holds it
    assert Preprocessing(**plain) == settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": (0, 8)}, r"size must be in \[2, 32767\], got \(0, 8\)"),
        ({"mean": (124, 116, 104)}, r"mean must be in \[0, 1\], got .*; divide by"),
        ({"std": (0.2, 0.0, 0.2)}, r"std must be in \(0, 1\], got"),
        ({"mean": (0.5,)}, "one value for each channel, got 1 and 3 values"),
    ],
)
def test_a_value_out_of_range_is_an_error(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**values)


def test_the_transform_resizes_and_normalizes() -> None:
    settings = Preprocessing(size=(4, 6), mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    image = settings.transform()(np.full((2, 3, 3), 255, np.uint8))["image"]
    assert image.shape == (3, 4, 6)
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([1.0, 1.0, 0.0]))
