import pytest
from torch import nn

from lightning_classmix.models.backbone import find_backbone


def with_part(name: str, part: nn.Module) -> nn.Module:
    network = nn.Module()
    network.add_module(name, part)
    return network


@pytest.mark.parametrize(
    "name", ["encoder", "backbone", "segformer", "dpt", "base_model"]
)
@pytest.mark.parametrize("wrapper", [None, "model", "net", "network", "module"])
def test_a_backbone_is_found_by_a_common_name(name: str, wrapper: str | None) -> None:
    part = nn.Conv2d(3, 3, 1)
    network = with_part(name, part)
    if wrapper is not None:
        network = with_part(wrapper, network)
    assert find_backbone(network) is part


def test_a_backbone_is_named_by_its_attribute_with_dots() -> None:
    part = nn.Conv2d(3, 3, 1)
    network = with_part("pixels", with_part("features", part))
    assert find_backbone(network) is None
    assert find_backbone(network, "pixels.features") is part


def test_a_base_model_that_is_the_network_itself_is_no_backbone() -> None:
    class Whole(nn.Module):
        @property
        def base_model(self) -> nn.Module:
            return self

    assert find_backbone(Whole()) is None


@pytest.mark.parametrize("name", ["trunk", "pixels.trunk", "forward"])
def test_a_backbone_that_does_not_exist_is_refused(name: str) -> None:
    network = with_part("pixels", nn.Conv2d(3, 3, 1))
    with pytest.raises(ValueError, match=f"got '{name}'; its modules are pixels"):
        find_backbone(network, name)
