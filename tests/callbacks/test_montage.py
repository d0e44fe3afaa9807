import numpy as np
import torch

from lightning_classmix.callbacks.montage import (
    TILE,
    gray_tile,
    image_tile,
    label_tile,
    montage,
    printable,
)

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_tiles_keep_the_shape_of_the_image_at_one_size() -> None:
    label = torch.zeros(30, 40, dtype=torch.int64)
    label[:, 20:] = 2
    tile = label_tile(label, COLORS)
    assert tile.shape == (TILE * 3 // 4, TILE, 3)
    assert tuple(tile[0, 0]) == COLORS[0]
    assert tuple(tile[0, -1]) == COLORS[2]
    assert gray_tile(label == 2)[0, -1].tolist() == [255] * 3


def test_an_image_tile_undoes_the_normalization() -> None:
    image = torch.full((3, 6, 8), 0.5)
    tile = image_tile(image, mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.2])
    assert tile[5, 5].tolist() == [153, 128, 102]


def test_images_of_one_and_of_five_channels_are_shown() -> None:
    one = image_tile(torch.ones(1, 6, 8), mean=[0.0], std=[1.0])
    assert one[0, 0].tolist() == [255] * 3
    image = torch.arange(5.0)[:, None, None].expand(5, 6, 8) / 4
    five = image_tile(image, mean=[0.0] * 5, std=[1.0] * 5)
    assert five[0, 0].tolist() == [0, 64, 128]


def test_a_montage_shows_every_tile_and_class_color() -> None:
    rows = [
        {
            "a": np.full((50, TILE, 3), 10 * row, np.uint8),
            "b": np.full((60, 9, 3), 77, np.uint8),
        }
        for row in (1, 2)
    ]
    names = [f"class {index}" for index in range(9)]
    palette = [(index, 200, 3) for index in range(9)]
    picture = montage(rows, class_names=names, palette=palette)
    found = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert {(10, 10, 10), (20, 20, 20), (77, 77, 77), *palette} <= found


def test_control_characters_are_replaced() -> None:
    assert printable("a\x1b[31m\nb\tc é") == "a�[31m�b�c é"
