import pytest
import torch

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.small_unet import SmallUNet


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (16, 16), (7, 5)])
def test_small_unet_takes_images_of_any_size(size: tuple[int, int]) -> None:
    network = SegmentationNetwork(SmallUNet(4, width=4), 4)
    assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)


def test_every_weight_of_small_unet_gets_a_gradient() -> None:
    network = SmallUNet(3, in_channels=1, width=4)
    loss = network(torch.randn(2, 1, 32, 32)).square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_small_unet_is_small() -> None:
    weights = sum(parameter.numel() for parameter in SmallUNet(7).parameters())
    assert 0.2e6 < weights < 0.3e6
