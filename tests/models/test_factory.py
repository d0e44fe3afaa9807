import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_classmix import build_model
from lightning_classmix.models.factory import MODELS
from lightning_classmix.models.network import SegmentationNetwork

MOBILENET = (
    Path(__file__).parents[2].parent / "shared/weights/mobilenet_v2_imagenet.pth"
)


def encoder_state(network: SegmentationNetwork) -> dict[str, Tensor]:
    assert network.encoder is not None
    return network.encoder.state_dict()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dpt"])
def test_every_model_takes_images_of_any_size(name: str) -> None:
    network = build_model(name, "resnet18", num_classes=4).eval()
    with torch.no_grad():
        for size in ((33, 70), (64, 64)):
            assert network(torch.zeros(1, 3, *size)).shape == (1, 4, *size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("unet", "tu-convnext_atto"),
        ("fpn", "tu-resnet10t"),
        ("deeplabv3plus", "mobilenet_v2"),
        ("segformer", "mit_b0"),
        ("upernet", "efficientnet-b0"),
        ("dpt", "tu-vit_tiny_patch16_224"),
    ],
)
def test_encoders_of_every_origin_work(name: str, encoder: str) -> None:
    network = build_model(name, encoder, num_classes=2).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 50, 70)).shape == (1, 2, 50, 70)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_work(channels: int) -> None:
    network = build_model("unet", "resnet18", 2, in_channels=channels)
    assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 2, 32, 32)


def test_building_leaves_the_network_in_train_mode() -> None:
    assert all(part.training for part in build_model("unet", "resnet18", 2).modules())


def test_weights_of_a_local_file_are_loaded(tmp_path: Path) -> None:
    other = build_model("fpn", "resnet18", 2)
    state = encoder_state(other) | {"fc.weight": torch.zeros(9, 512)}
    torch.save(state, tmp_path / "weights.pth")
    network = build_model(
        "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
    )
    loaded = encoder_state(network)
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_weights_of_a_local_file_fit_timms_encoders(tmp_path: Path) -> None:
    state = encoder_state(build_model("fpn", "tu-resnet10t", 2))
    plain = {key.removeprefix("model."): value for key, value in state.items()}
    torch.save({"state_dict": plain}, tmp_path / "weights.pth")
    network = build_model(
        "unet", "tu-resnet10t", 3, encoder_weights=str(tmp_path / "weights.pth")
    )
    loaded = encoder_state(network)
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_weights_of_the_first_layer_are_repeated_for_other_channels(
    tmp_path: Path,
) -> None:
    state = encoder_state(build_model("fpn", "resnet18", 2))
    torch.save(state, tmp_path / "weights.pth")
    network = build_model(
        "unet",
        "resnet18",
        3,
        in_channels=6,
        encoder_weights=str(tmp_path / "weights.pth"),
    )
    first = encoder_state(network)["conv1.weight"]
    torch.testing.assert_close(first, state["conv1.weight"].repeat(1, 2, 1, 1) / 2)


@pytest.mark.skipif(not MOBILENET.is_file(), reason="the weights file is missing")
def test_imagenet_weights_of_mobilenet_load() -> None:
    network = build_model(
        "deeplabv3plus", "mobilenet_v2", 11, encoder_weights=str(MOBILENET)
    )
    state = torch.load(MOBILENET, weights_only=True)
    loaded = encoder_state(network)
    key = "features.0.0.weight"
    assert torch.equal(loaded[key], state[key])


def test_a_file_that_fits_badly_is_refused_by_its_keys(tmp_path: Path) -> None:
    state = encoder_state(build_model("fpn", "resnet18", 2))
    del state["conv1.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["bn1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(
        ValueError,
        match=r"weights\.pth with missing keys conv1\.weight, unexpected keys"
        r" layer9\.weight and shapes that differ bn1\.weight \(3,\) for \(64,\)",
    ):
        build_model(
            "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
        )


def test_a_file_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"conv1.weight": Trap()}, tmp_path / "weights.pth")
    with pytest.raises(
        ValueError, match=r"a file of tensors, got .*weights\.pth: Weights"
    ):
        build_model(
            "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
        )
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_other_things_is_named(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("not weights")
    for name in ("list.pth", "text.pth"):
        with pytest.raises(ValueError, match=rf"encoder_weights must .* got .*{name}"):
            build_model("unet", "resnet18", 3, encoder_weights=str(tmp_path / name))


def test_keys_that_do_not_fit_are_told_as_they_stand_in_the_file(
    tmp_path: Path,
) -> None:
    state = encoder_state(build_model("fpn", "resnet18", 2))
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save(wrapped, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"unexpected keys module\.bn1\.bias"):
        build_model(
            "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
        )


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_an_unknown_name_of_weights_offers_the_nearest(encoder: str) -> None:
    with pytest.raises(
        ValueError, match="encoder_weights must be known, got 'imagnet'"
    ):
        build_model("unet", encoder, 3, encoder_weights="imagnet")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"got nowhere/weights\.pth"):
        build_model("unet", "resnet18", 3, encoder_weights="nowhere/weights.pth")


def test_an_unknown_encoder_offers_the_nearest_names() -> None:
    with pytest.raises(ValueError, match=r"got 'resnet19'; did you mean .*resnet18"):
        build_model("unet", "resnet19", 3)
    with pytest.raises(ValueError, match=r"got 'tu-resnet19'; .*tu-resnet1"):
        build_model("unet", "tu-resnet19", 3)


def test_an_unknown_model_offers_the_nearest_names() -> None:
    with pytest.raises(ValueError, match=r"model must be known, got 'deeplab'; .*plus"):
        build_model("deeplab", "resnet18", 3)


@pytest.mark.parametrize(
    ("name", "encoder", "reason"),
    [
        ("deeplabv3", "vgg11", "do not support dilated mode"),
        ("dpt", "resnet18", "Only Timm encoders"),
        ("unet", "tu-swin_tiny_patch4_window7_224", "doesn't match model"),
        ("unet", "tu-vit_tiny_patch16_224", "Unsupported model"),
    ],
)
def test_a_pair_that_cannot_exist_is_refused_with_its_reason(
    name: str, encoder: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"{encoder}'.*: .*{reason}"):
        build_model(name, encoder, 3)
