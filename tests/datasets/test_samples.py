from typing import Any

import numpy as np
import pytest

from lightning_classmix.datasets.samples import image_and_label


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"image": np.zeros((4, 4, 3), np.uint8), "mask": np.zeros((4, 4))},
            r"item 0 must be .*, got {'image': uint8 \(4, 4, 3\), 'mask': float64"
            r" \(4, 4\)}; rename 'mask' to 'label'",
        ),
        ({"pixel_values": 0, "labels": 0}, "rename 'pixel_values' to 'image'"),
        (np.zeros((4, 4, 3), np.uint8), r"got uint8 \(4, 4, 3\); add 'label'"),
        (None, "got None; add 'image'"),
    ],
)
def test_items_without_image_or_label_are_described(item: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_and_label(item, 0, labeled=True)


def test_a_label_with_a_channel_is_squeezed() -> None:
    item = (np.zeros((4, 5, 3), np.uint8), np.ones((1, 4, 5), np.int64))
    _, label = image_and_label(item, 0, labeled=True)
    assert label is not None
    assert label.shape == (4, 5)
