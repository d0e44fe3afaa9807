"""Find the backbone of a network, the part that has a learning rate of its own."""

from collections.abc import Iterator

from torch import nn

_NAMES = ("encoder", "backbone", "segformer", "dpt", "base_model")
"""Attributes that hold a backbone, in the order in which they are tried."""

_WRAPPED = ("model", "net", "network", "module")
"""Attributes that hold the whole network within a wrapper."""


def find_backbone(network: nn.Module, name: str | None = None) -> nn.Module | None:
    """Return the backbone of a network, by its attribute name.

    Args:
        network: Segmentation network.
        name: Attribute name, which may contain dots. None tries ``encoder``,
            ``backbone``, ``segformer``, ``dpt`` and ``base_model``, of the network and
            of a network that it wraps as ``model``, ``net``, ``network`` or ``module``.

    Returns:
        The backbone; None if ``name`` is None and no such attribute was found.

    Raises:
        ValueError: If ``name`` is not an attribute that is a module.

    Example:
        >>> network = nn.Module()
        >>> network.backbone = nn.Conv2d(3, 8, 3)
        >>> find_backbone(network), find_backbone(nn.Conv2d(3, 8, 3))
        (Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1)), None)
    """
    if name is not None:
        part: object = network
        for attribute in name.split("."):
            part = getattr(part, attribute, None)
        if not isinstance(part, nn.Module):
            children = ", ".join(key for key, _ in network.named_children()) or "none"
            raise ValueError(
                f"backbone must be an attribute of {type(network).__name__} that is a"
                f" module, got {name!r}; its modules are {children}"
            )
        return part
    for owner in _owners(network):
        for attribute in _NAMES:
            part = getattr(owner, attribute, None)
            if isinstance(part, nn.Module) and part is not owner:
                return part
    return None


def _owners(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network, then the networks that it wraps."""
    yield network
    for attribute in _WRAPPED:
        inner = getattr(network, attribute, None)
        if isinstance(inner, nn.Module):
            yield inner
