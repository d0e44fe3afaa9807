import os
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from lightning_classmix import build_model
from lightning_classmix.models.deeplabv2 import CaffeResNet101
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pretrained import load_pretrained

MOBILENET = (
    Path(__file__).parents[2].parent / "shared/weights/mobilenet_v2_imagenet.pth"
)


def encoder_state(network: SegmentationNetwork) -> dict[str, Tensor]:
    assert network.encoder is not None
    return network.encoder.state_dict()


def test_weights_of_a_local_file_are_loaded(tmp_path: Path) -> None:
    other = build_model("fpn", "resnet18", 2)
    state = encoder_state(other) | {"fc.weight": torch.zeros(9, 512)}
    torch.save(state, tmp_path / "weights.pth")
    network = build_model(
        "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
    )
    loaded = encoder_state(network)
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_weights_of_a_local_file_fit_encoders_of_timm(tmp_path: Path) -> None:
    state = encoder_state(build_model("fpn", "tu-resnet10t", 2))
    plain = {key.removeprefix("model."): value for key, value in state.items()}
    torch.save({"state_dict": plain}, tmp_path / "weights.pth")
    network = build_model(
        "unet", "tu-resnet10t", 3, encoder_weights=str(tmp_path / "weights.pth")
    )
    loaded = encoder_state(network)
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "depth"), [("convnext_atto", 5), ("tf_efficientnet_lite0", 3)]
)
def test_a_file_of_a_whole_timm_model_fits_its_features(
    encoder: str, depth: int, tmp_path: Path
) -> None:
    source = timm.create_model(encoder)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    channels = [32, 16, 16, 8, 8][:depth]
    network = build_model(
        "unet",
        f"tu-{encoder}",
        3,
        encoder_weights=str(tmp_path / "weights.pth"),
        options={"encoder_depth": depth, "decoder_channels": channels},
    )
    expected = {key.replace(".", "_"): v for key, v in source.state_dict().items()}
    for key, value in encoder_state(network).items():
        assert value.equal(expected[key.removeprefix("model.").replace(".", "_")])


def test_a_file_of_another_efficientnet_is_read_by_position(tmp_path: Path) -> None:
    source = timm.create_model("tf_efficientnet_lite0").state_dict()
    other = {
        f"layer{i}.{key.split('.')[-1]}": v for i, (key, v) in enumerate(source.items())
    }
    torch.save(other, tmp_path / "weights.pth")
    network = build_model(
        "unet",
        "tu-tf_efficientnet_lite0",
        3,
        encoder_weights=str(tmp_path / "weights.pth"),
    )
    for key, value in encoder_state(network).items():
        assert value.equal(source[key.removeprefix("model.")])
    swapped = [*other.items()]
    swapped[1], swapped[2] = swapped[2], swapped[1]  # scale and shift: equal shapes
    torch.save(dict(swapped), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="encoder_weights must fit the encoder"):
        load_pretrained(
            network, "unet", "tu-tf_efficientnet_lite0", str(tmp_path / "weights.pth")
        )


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


def test_a_file_that_does_not_fit_is_refused_with_its_keys(tmp_path: Path) -> None:
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


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"conv1.weight": Trap()}, tmp_path / "weights.pth")
    with pytest.raises(
        ValueError, match=r"a file of tensors and plain values, got .*weights\.pth"
    ):
        build_model(
            "unet", "resnet18", 3, encoder_weights=str(tmp_path / "weights.pth")
        )
    assert not (tmp_path / "ran").exists()


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("not weights")
    for name in ("list.pth", "text.pth"):
        with pytest.raises(ValueError, match=rf"encoder_weights must .* got .*{name}"):
            build_model("unet", "resnet18", 3, encoder_weights=str(tmp_path / name))


def test_the_error_lists_unexpected_keys_as_in_the_file(
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
def test_unknown_weights_are_refused_with_similar_names(encoder: str) -> None:
    with pytest.raises(
        ValueError, match="encoder_weights must be known, got 'imagnet'"
    ):
        build_model("unet", encoder, 3, encoder_weights="imagnet")


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"got nowhere/weights\.pth"):
        build_model("unet", "resnet18", 3, encoder_weights="nowhere/weights.pth")


@pytest.fixture(scope="module", name="coco")
def make_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file with the keys, shapes and format of the MS-COCO weights."""
    torch.manual_seed(0)
    encoder = CaffeResNet101()
    state = {
        key: value
        for key, value in encoder.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    state["bn1.running_mean"] = torch.randn(64)
    for branch in range(4):
        state[f"layer5.conv2d_list.{branch}.weight"] = torch.randn(21, 2048, 3, 3)
        state[f"layer5.conv2d_list.{branch}.bias"] = torch.randn(21)
    path = tmp_path_factory.mktemp("coco") / "resnet101COCO-41f33a49.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def build_from(path: Path, num_classes: int) -> SegmentationNetwork:
    return build_model(
        "deeplabv2",
        "caffe_resnet101",
        num_classes,
        encoder_weights=str(path),
        options={"head_dilations": [6, 12]},
    )


def test_the_coco_fixture_has_the_keys_of_the_coco_file(coco: Path) -> None:
    keys = torch.load(coco, weights_only=True).keys()
    assert len(keys) == 104 * 5 + 8  # convolutions, each with its norm, and the head
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer1.0.downsample.0.weight",
        "layer3.22.bn3.bias",
        "layer4.2.conv3.weight",
        "layer5.conv2d_list.3.bias",
    } <= keys


def test_the_coco_file_is_loaded_into_encoder_and_head(
    coco: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    network = build_from(coco, 21)
    state = torch.load(coco, weights_only=True)
    loaded = {
        key.removeprefix("network.encoder.").replace(
            "network.head.", "layer5.conv2d_list."
        ): value
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    wanted = [
        p.requires_grad for p in network.get_submodule("network.head").parameters()
    ]
    assert wanted == [True] * 4 + [False] * 4
    assert "the head" not in caplog.text


def test_for_other_classes_the_head_keeps_its_weights_and_a_message_is_logged(
    coco: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    network = build_from(coco, 19)
    loaded, state = encoder_state(network), torch.load(coco, weights_only=True)
    names = [key for key in state if not key.startswith("layer5.")]
    assert all(torch.equal(loaded[key], state[key]) for key in names)
    weight = network.get_parameter("network.head.0.weight")
    assert weight.shape == (19, 2048, 3, 3)
    assert 0.009 < weight.std() < 0.011
    assert "the head keeps its initial weights" in caplog.text
    assert str(coco) in caplog.text


def test_a_coco_file_with_missing_keys_is_refused_with_the_keys(
    coco: Path, tmp_path: Path
) -> None:
    state = torch.load(coco, weights_only=True)
    del state["conv1.weight"], state["layer4.2.bn3.running_var"]
    torch.save(state, tmp_path / "coco.pth")
    with pytest.raises(
        ValueError,
        match=r"missing keys conv1\.weight, layer4\.2\.bn3\.running_var, unexpected"
        " keys none",
    ):
        build_from(tmp_path / "coco.pth", 21)


@pytest.fixture(name="published")
def make_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace downloads: every encoder gets the weights of one seed."""

    def create_timm(*args: Any, pretrained: bool = False, **kwargs: Any) -> nn.Module:
        if pretrained:
            torch.manual_seed(7)
        built: nn.Module = create(*args, pretrained=False, **kwargs)
        return built

    def load_smp(path: str, device: str) -> dict[str, Tensor]:
        torch.manual_seed(7)
        state: dict[str, Tensor] = smp.encoders.get_encoder("resnet18").state_dict()
        return state

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", create_timm)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: "")
    monkeypatch.setattr(smp.encoders, "load_file", load_smp)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("name", "encoder", "in_channels", "options"),
    [
        ("unet", "resnet18", 3, {}),
        ("fpn", "resnet18", 5, {"encoder_depth": 3}),
        ("deeplabv3plus", "resnet18", 1, {}),
        ("unet", "tu-resnet10t", 4, {"stem_width": 16}),
        ("dpt", "tu-vit_tiny_patch16_224", 3, {}),
    ],
)
def test_published_weights_equal_those_of_a_network_built_with_them(
    name: str, encoder: str, in_channels: int, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = build_model(name, encoder, 2, in_channels=in_channels, options=options)
    decoder = {
        key: value.clone()
        for key, value in network.state_dict().items()
        if not key.startswith("network.encoder.")
    }
    load_pretrained(
        network, name, encoder, "imagenet", in_channels=in_channels, options=options
    )
    weights = True if encoder.startswith("tu-") else "imagenet"
    more = {"dynamic_img_size": True, "num_classes": 0} if name == "dpt" else {}
    expected = smp.create_model(
        name, encoder, weights, in_channels, 2, **options, **more
    ).encoder.state_dict()
    loaded = encoder_state(network)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in loaded)
    state = network.state_dict()
    assert all(torch.equal(state[key], decoder[key]) for key in decoder)


@pytest.mark.usefixtures("published")
def test_published_weights_of_deeplabv2_build_no_second_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = build_model("deeplabv2", "resnet18", 2)
    monkeypatch.setattr(
        "lightning_classmix.models.deeplabv2.DeepLabV2.__init__",
        lambda *_, **__: pytest.fail("built again"),
    )
    load_pretrained(network, "deeplabv2", "resnet18", "imagenet")
    torch.manual_seed(7)
    expected = smp.encoders.get_encoder("resnet18").state_dict()
    loaded = encoder_state(network)
    assert all(torch.equal(loaded[key], expected[key]) for key in loaded)


def test_small_unet_accepts_no_file_of_encoder_weights(tmp_path: Path) -> None:
    network = build_model("small_unet", "resnet50", 3, encoder_weights="imagenet")
    (tmp_path / "weights.pth").touch()
    with pytest.raises(ValueError, match=r"must be None for small_unet, got .*weights"):
        load_pretrained(
            network, "small_unet", "resnet50", str(tmp_path / "weights.pth")
        )
