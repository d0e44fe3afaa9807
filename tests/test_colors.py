import torch

from lightning_classmix.colors import to_colors, to_picture


def test_pictures_undo_the_normalization() -> None:
    image = torch.tensor([0.0, 1.0, -9.0])[:, None, None]
    picture = to_picture(image, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))
    assert picture.tolist() == [[[51, 153, 0]]]


def test_void_is_black() -> None:
    colors = to_colors(torch.tensor([[0, 1, 255]]), [(1, 2, 3), (4, 5, 6)])
    assert colors.tolist() == [[[1, 2, 3], [4, 5, 6], [0, 0, 0]]]
