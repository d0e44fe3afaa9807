from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from lightning_classmix import ClassMix, build_model
from lightning_classmix.models.dpt import AnyPatchDPT
from lightning_classmix.models.pretrained import load_pretrained
from tests import tiny

DINOV2 = "tu-vit_small_patch14_dinov2"
NARROW = {
    "encoder_depth": 4,
    "decoder_intermediate_channels": [8, 8, 8, 8],
    "decoder_fusion_channels": 8,
}


def dpt(encoder: str, **options: Any) -> Any:
    return build_model("dpt", encoder, 4, options=NARROW | options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "stride"),
    [
        (DINOV2, 28),
        ("tu-vit_small_patch14_reg4_dinov2", 28),
        ("tu-vit_small_patch16_dinov3", 32),
        ("tu-vit_small_patch8_224", 32),
        ("tu-eva02_tiny_patch14_224", 28),
    ],
)
def test_vision_transformers_take_images_of_any_size(encoder: str, stride: int) -> None:
    network = dpt(encoder).eval()
    assert network.stride == stride
    with torch.no_grad():
        for size in ((33, 70), (56, 28)):
            assert network(torch.zeros(1, 3, *size)).shape == (1, 4, *size)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["base", "large"])
def test_larger_dinov2_encoders_are_built(size: str) -> None:
    with torch.device("meta"):
        network: Any = AnyPatchDPT(
            encoder_name=f"tu-vit_{size}_patch14_dinov2", encoder_weights=None
        )
    widths = [block.upsample.stride for block in network.decoder.reassemble_blocks[:2]]
    assert widths == [(4, 4), (2, 2)]
    assert len(network.encoder.model.blocks) == {"base": 12, "large": 24}[size]


@pytest.mark.slow
def test_classmix_trains_and_predicts_with_dinov2() -> None:
    module = ClassMix(
        3,
        model="dpt",
        encoder=DINOV2,
        encoder_weights=None,
        model_options=NARROW,
        encoder_lr_factor=0.1,
        encoder_layer_decay=0.75,
        labeled_only_steps=0,
        ramp_steps=0,
    )
    encoder: Any = module.student.encoder
    start = encoder.model.patch_embed.proj.weight.clone()
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(module, tiny.data())
    assert not encoder.model.patch_embed.proj.weight.equal(start)
    assert not encoder.model.norm.weight.requires_grad  # DPT does not use it
    rates = {group["initial_lr"] for group in trainer.optimizers[0].param_groups}
    assert max(rates) == 1e-3
    assert min(rates) == pytest.approx(1e-4 * 0.75**12)
    assert module.predict(torch.rand(3, 30, 41)).shape == (30, 41)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [DINOV2, "tu-vit_small_patch14_reg4_dinov2"])
def test_a_file_of_dinov2_is_loaded_at_another_size(
    encoder: str, tmp_path: Path
) -> None:
    network = dpt(encoder)
    source = timm.create_model(encoder.removeprefix("tu-"), img_size=56)
    state = source.state_dict() | {"mask_token": torch.zeros(1, 384)}
    torch.save(state, tmp_path / "dinov2.pth")
    load_pretrained(network, "dpt", encoder, str(tmp_path / "dinov2.pth"))
    loaded: Any = network.encoder.model
    assert loaded.blocks[11].mlp.fc1.weight.equal(source.blocks[11].mlp.fc1.weight)
    assert loaded.pos_embed.shape[1] in (37**2, 37**2 + 1)
    corner = loaded.pos_embed[0, -1]
    assert torch.cosine_similarity(corner, source.pos_embed[0, -1], dim=0) > 0.8


def test_features_of_a_patch_reach_the_logits_at_its_place() -> None:
    torch.manual_seed(0)
    inner: Any = dpt("tu-eva02_tiny_patch14_224").eval().network
    features = torch.zeros(1, 192, 32, 32)
    changed = features.clone()
    changed[..., 18, 12] = 1.0  # the center of this patch is (18.5, 12.5) of 32
    prefix = [torch.zeros(1, 1, 192)] * 4
    with torch.no_grad():
        first, second = (
            inner.segmentation_head(inner.decoder([part] * 4, prefix))
            for part in (features, changed)
        )
    weight = (second - first).square().sum(1)[0]
    assert weight.shape == (512, 512)  # 16 pixels for each patch
    grid = torch.arange(512) + 0.5
    center = [(weight.sum(dim) * grid).sum() / weight.sum() / 16 for dim in (1, 0)]
    torch.testing.assert_close(
        torch.stack(center), torch.tensor([18.5, 12.5]), atol=1.0, rtol=0
    )
