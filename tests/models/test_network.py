import pytest
import torch
from torch import Tensor, nn

from lightning_classmix.models.network import SegmentationNetwork


class Strict(nn.Module):
    """A network for image sides of 16, 24, … that returns logits at a quarter."""

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 5, 4, stride=4)
        self.key = key

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        assert all(side % 8 == 0 and side >= 16 for side in image.shape[2:])
        logits: Tensor = self.backbone(image)
        return logits if self.key is None else {"aux": image, self.key: logits}


@pytest.mark.parametrize("key", [None, "out", "logits"])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 40), (5, 5)])
def test_logits_have_the_size_of_the_image(
    key: str | None, size: tuple[int, int]
) -> None:
    network = SegmentationNetwork(Strict(key), 5, stride=8, smallest=16)
    assert network(torch.zeros(2, 3, *size)).shape == (2, 5, *size)


def test_padding_repeats_the_border_and_is_cropped() -> None:
    seen: list[Tensor] = []
    identity = nn.Identity()
    identity.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    network = SegmentationNetwork(identity, 1, stride=4)
    assert torch.equal(network(image), image)
    assert seen[0][0, 0].tolist() == [[0, 1, 2, 2], *[[3, 4, 5, 5]] * 3]


def test_logits_of_lower_resolution_are_upsampled_bilinearly() -> None:
    pool = nn.AvgPool2d(2)
    image = torch.tensor([[[[0.0, 0.0, 4.0, 4.0]] * 2]])
    row = SegmentationNetwork(pool, 1)(image)[0, 0, 0]
    assert row.tolist() == [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize("name", ["encoder", "backbone"])
def test_the_encoder_is_the_attribute_encoder_or_backbone(name: str) -> None:
    network = nn.Module()
    part = nn.Conv2d(3, 3, 1)
    network.add_module(name, part)
    assert SegmentationNetwork(network, 3).encoder is part
    assert SegmentationNetwork(nn.Identity(), 3).encoder is None


def test_an_output_without_logits_is_refused() -> None:
    class Tuple(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor]:
            return (image,)

    with pytest.raises(TypeError, match=r"network must return logits .* got tuple"):
        SegmentationNetwork(Tuple(), 3)(torch.zeros(1, 3, 4, 4))
