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


def test_auxiliary_logits_have_the_size_of_the_image() -> None:
    class TwoHeads(Strict):
        def forward(self, image: Tensor) -> dict[str, Tensor]:
            logits: Tensor = self.backbone(image)
            return {"out": logits, "aux": logits[..., ::2, ::2]}

    network = SegmentationNetwork(TwoHeads(), 5, stride=8, smallest=16)
    logits, others = network(torch.zeros(2, 3, 17, 31), auxiliary=True)
    assert [part.shape for part in (logits, *others)] == [(2, 5, 17, 31)] * 2


def test_an_output_of_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes = 4 channels, got 3"):
        SegmentationNetwork(nn.Identity(), 4)(torch.zeros(1, 3, 4, 4))


def test_a_network_that_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="network must be a module, got type"):
        SegmentationNetwork(nn.Conv2d, 3)  # type: ignore[arg-type]


def test_a_lazy_layer_is_refused_until_it_has_a_shape() -> None:
    lazy = nn.Sequential(nn.LazyConv2d(5, 1))
    with pytest.raises(ValueError, match=r"lazy parameter 0\.weight; call the network"):
        SegmentationNetwork(lazy, 5)
    lazy(torch.zeros(1, 3, 8, 8))
    assert SegmentationNetwork(lazy, 5)(torch.zeros(1, 3, 8, 8)).shape == (1, 5, 8, 8)


def test_a_frozen_encoder_stays_in_eval_mode_without_gradients() -> None:
    inner = nn.Module()
    inner.encoder = nn.BatchNorm2d(3)
    inner.head = nn.BatchNorm2d(3)
    network = SegmentationNetwork(inner, 3)
    network.freeze_encoder()
    for mode in (True, False, True):
        network.train(mode)
        assert (inner.encoder.training, inner.head.training) == (False, mode)
    wanted = {name for name, p in network.named_parameters() if p.requires_grad}
    assert wanted == {"network.head.weight", "network.head.bias"}
