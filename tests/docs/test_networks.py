"""The wrappers of docs/networks.md give logits and gradients."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_classmix import Supervised
from tests import tiny

PAGE = Path(__file__).parents[2] / "docs/networks.md"


def wrapper(name: str) -> Any:
    """Return a class of the page."""
    (code,) = re.findall(rf"```python\n(class {name}\(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, Any] = {"nn": nn, "torch": torch}
    exec(code, names)
    return names[name]


class Masks(nn.Module):
    """Outputs of Mask2Former: two masks with a class each, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Parameter(torch.tensor([[9.0, 0, 0, 0], [0, 0, 9, 0]]))
        self.scale = nn.Parameter(torch.tensor(9.0))

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        first = self.scale * (pixel_values[:, :1] > 0).float() - self.scale / 2
        return {
            "class_queries_logits": self.classes.expand(len(pixel_values), -1, -1),
            "masks_queries_logits": torch.cat([first, -first], 1),
        }


def test_masks_with_classes_become_logits_of_their_pixels() -> None:
    module = Supervised(3, network=wrapper("MaskQueries")(Masks()))
    image = torch.ones(1, 3, 4, 6)
    image[..., 3:] = -1
    label = module(image).argmax(1)
    assert label[..., :3].unique().tolist() == [0]
    assert label[..., 3:].unique().tolist() == [2]
    probability = module(image).softmax(1)[0, 0, 0, 0]
    assert 0.95 < probability < 1
    loss = module.training_step(tiny.batch(), 0)["loss"]
    torch.autograd.backward(loss)
    assert all(p.grad is not None for p in module.student.parameters())


class Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, stride=2)

    def forward(self, image: Tensor) -> Any:
        return SimpleNamespace(feature_maps=self.conv(image))


def test_the_auxiliary_head_of_upernet_is_trained() -> None:
    model = nn.Module()
    model.backbone = Features()
    model.decode_head = nn.Conv2d(4, 3, 1)
    model.auxiliary_head = nn.Conv2d(4, 3, 1)
    start = model.auxiliary_head.weight.clone()
    network = wrapper("UPerNetWithAuxiliary")(model)
    module = Supervised(3, network=network, aux_weight=0.4, lr=0.1)
    assert module.backbone is model.backbone
    tiny.trainer(max_steps=2).fit(module, tiny.data())
    assert not model.auxiliary_head.weight.equal(start)
