from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.probe import prepare_for_training


class Heads(nn.Module):
    """A network with an auxiliary head and a layer that is never used."""

    def __init__(self, *, side: int | None = None, softmax: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
        self.out = nn.Conv2d(4, 5, 1)
        self.aux = nn.Conv2d(4, 5, 1)
        self.unused = nn.Conv2d(4, 5, 1)
        self.side = side
        self.softmax = softmax

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        if self.side not in (None, image.shape[-1]):
            raise RuntimeError("another size")
        features = self.body(image)
        logits = self.out(features)
        if self.softmax:
            logits = logits.softmax(1)
        return {"out": logits, "aux": self.aux(features)}


def trained(network: nn.Module, *, auxiliary: bool) -> set[str]:
    """Return the children whose parameters are trained."""
    prepare_for_training(SegmentationNetwork(network, 5), 3, auxiliary=auxiliary)
    names = [name for name, p in network.named_parameters() if p.requires_grad]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("side", [None, 224])
def test_parameters_without_a_loss_are_frozen(side: int | None) -> None:
    assert trained(Heads(side=side), auxiliary=False) == {"body", "out"}
    assert trained(Heads(side=side), auxiliary=True) == {"body", "out", "aux"}


def test_a_network_of_another_size_is_left_as_it_is() -> None:
    everything = {"body", "out", "aux", "unused"}
    assert trained(Heads(side=100), auxiliary=False) == everything


def test_layers_that_are_used_in_one_mode_only_are_trained() -> None:
    class Modes(Heads):
        def forward(self, image: Tensor) -> Any:
            features = self.body(image)
            return self.out(features) if self.training else self.aux(features)

    assert trained(Modes(), auxiliary=False) == {"body", "out", "aux"}


def test_weights_statistics_gradients_modes_and_generators_are_kept() -> None:
    network = Heads()
    network.body.eval()
    network.out.weight.grad = torch.ones_like(network.out.weight)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trained(network, auxiliary=False)
    assert torch.equal(torch.rand(2), expected)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert network.out.weight.grad.eq(1).all()
    assert network.out.bias.grad is None  # type: ignore[union-attr]
    assert [part.training for part in network.children()] == [False, True, True, True]


def test_a_softmax_at_the_end_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="remove the softmax at the end of Heads"):
        trained(Heads(softmax=True), auxiliary=False)


def test_an_output_that_cannot_be_used_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match="num_classes = 4 channels, got 5"):
        prepare_for_training(SegmentationNetwork(Heads(), 4), 3)
    with pytest.raises(ValueError, match="aux_weight must be 0"):
        prepare_for_training(
            SegmentationNetwork(nn.Conv2d(3, 5, 1), 5), 3, auxiliary=True
        )


def test_the_first_of_several_outputs_is_said_to_be_the_logits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Two(Heads):
        def forward(self, image: Tensor) -> Any:
            features = self.body(image)
            return [self.aux(features), self.out(features)]

    with caplog.at_level("INFO", logger="lightning.pytorch"):
        assert trained(Two(), auxiliary=False) == {"body", "aux"}
    assert "Two returns a list of 2: its first element is used" in caplog.text
