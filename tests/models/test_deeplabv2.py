import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_classmix.models.deeplabv2 import CaffeResNet101, DeepLabV2


@pytest.fixture(scope="module", name="paper")
def make_paper() -> DeepLabV2:
    encoder = CaffeResNet101()
    return DeepLabV2(encoder, encoder.channels, 21, head_dilations=(6, 12)).eval()


def test_the_network_of_the_paper_has_44_million_parameters(paper: DeepLabV2) -> None:
    count = sum(parameter.numel() for parameter in paper.parameters())
    resnet101 = 42_500_160  # without its classifier
    assert count == resnet101 + 4 * (2048 * 9 * 21 + 21) == 44_048_532


@torch.no_grad()
@pytest.mark.parametrize(
    ("side", "features"), [(321, 41), (65, 9), (64, 9), (66, 9), (67, 9), (72, 10)]
)
def test_features_have_an_eighth_of_the_side_rounded_up(
    paper: DeepLabV2, side: int, features: int
) -> None:
    image = torch.zeros(1, 3, side, 64)
    assert paper.encoder(image).shape == (1, 2048, features, 9)
    assert paper(image).shape == (1, 21, side, 64)


def test_strides_pooling_and_dilations_are_those_of_caffe(paper: DeepLabV2) -> None:
    encoder = paper.encoder
    assert isinstance(encoder, CaffeResNet101)
    first: nn.Module = encoder.layer2[0]
    assert first.conv1.stride == (2, 2)
    assert first.conv2.stride == (1, 1)
    assert encoder.maxpool.ceil_mode
    for stage, dilation in (
        (encoder.layer1, 1),
        (encoder.layer2, 1),
        (encoder.layer3, 2),
        (encoder.layer4, 4),
    ):
        for block in stage:
            assert block.conv2.dilation == block.conv2.padding == (dilation,) * 2
            assert block.conv1.stride == ((2, 2) if block is first else (1, 1))


def test_the_logits_are_the_sum_of_the_used_branches() -> None:
    network = DeepLabV2(nn.Conv2d(3, 4, 1, stride=8), 4, 2, head_dilations=(6, 24))
    image = torch.randn(2, 3, 33, 41)
    features = network.encoder(image)
    expected = torch.zeros(2, 2, *features.shape[2:])
    for name, dilation in (("0", 6), ("3", 24)):
        weight, bias = (
            network.get_parameter(f"head.{name}.{p}") for p in ("weight", "bias")
        )
        expected += functional.conv2d(
            features, weight, bias, padding=dilation, dilation=dilation
        )
    expected = functional.interpolate(
        expected, size=(33, 41), mode="bilinear", align_corners=True
    )
    torch.testing.assert_close(network(image), expected)


def test_unused_branches_get_no_gradient() -> None:
    network = DeepLabV2(nn.Conv2d(3, 4, 1), 4, 2, head_dilations=(6, 12))
    network(torch.randn(1, 3, 8, 8)).sum().backward()
    assert [branch.weight.grad is not None for branch in network.head] == [
        True,
        True,
        False,
        False,
    ]
    assert [branch.weight.requires_grad for branch in network.head] == [
        True,
        True,
        False,
        False,
    ]


def test_the_last_features_of_a_list_are_used() -> None:
    class Pyramid(nn.Module):
        def forward(self, image: Tensor) -> list[Tensor]:
            return [image, image[:, :, ::2, ::2]]

    network = DeepLabV2(Pyramid(), 3, 2)
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("dilations", [(), (6, 7)])
def test_other_dilations_are_refused(dilations: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="head_dilations must be some of"):
        DeepLabV2(nn.Identity(), 3, 2, head_dilations=dilations)
