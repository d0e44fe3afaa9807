import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_classmix import build_model
from lightning_classmix.models.deeplabv2 import CaffeResNet101
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


def seen_by(module: nn.Module) -> list[tuple[int, ...]]:
    """Note the shapes of what a module is given."""
    shapes: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    return shapes


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "tu-resnet10t"])
def test_deeplabv2_sees_images_of_odd_sizes_as_they_are(encoder: str) -> None:
    network = build_model("deeplabv2", encoder, 3).eval()
    assert network.encoder is not None
    seen = seen_by(network.encoder)
    features: list[tuple[int, ...]] = seen_by(network.get_submodule("network.head.0"))
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 33, 71)).shape == (1, 3, 33, 71)
    assert seen == [(1, 3, 33, 71)]
    assert [tuple(shape[2:]) for shape in features] == [(5, 9)]  # an eighth, rounded up


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        ("vgg11", "do not support dilated mode"),
        ("densenet121", "do not support dilated mode"),
        ("tu-vit_tiny_patch16_224", "Unsupported model downsampling pattern"),
        ("tu-swin_tiny_patch4_window7_224", "output_stride"),
        ("tu-ghostnet_050", "dilation not supported"),
        ("tu-vgg11", "it cannot be dilated"),  # timm asserts without a word
    ],
)
def test_an_encoder_that_cannot_be_dilated_is_refused_with_the_reason(
    encoder: str, reason: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"'deeplabv2' cannot be built with .*'{encoder}': .*{reason}"
    ):
        build_model("deeplabv2", encoder, 3)


def test_options_reach_the_architecture() -> None:
    wide, narrow = (
        build_model("unet", "resnet18", 3, options=options)
        for options in (None, {"decoder_channels": [32, 16, 8, 8, 4]})
    )
    sizes = [
        network.get_submodule("network.segmentation_head.0").in_channels
        for network in (wide, narrow)
    ]
    assert sizes == [16, 4]
    timm = build_model("unet", "tu-resnet10t", 3, options={"stem_width": 16})
    assert timm.get_submodule("network.encoder.model.conv1.0").out_channels == 12


@pytest.mark.parametrize(
    ("name", "encoder", "option", "told"),
    [
        ("unet", "resnet18", "decoder_channel", r"unet .*'decoder_channel'; did you"),
        (
            "fpn",
            "mobilenet_v2",
            "depth",
            r"an option of fpn must be known, got 'depth'",
        ),
        ("deeplabv2", "resnet18", "dilations", "did you mean head_dilations"),
        ("deeplabv2", "tu-resnet10t", "drop_rate", "did you mean head_dilations"),
        ("unet", "tu-resnet10t", "decoder_channel", "argument 'decoder_channel'"),
        ("unet", "resnet18", "classes", "an option of unet must be known"),
        ("unet", "tu-resnet10t", "activation", "an option of unet must be known"),
        ("unet", "resnet18", "kwargs", "an option of unet must be known"),
    ],
)
def test_an_unknown_option_is_refused(
    name: str, encoder: str, option: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        build_model(name, encoder, 3, options={option: 3})


def test_an_option_of_a_wrong_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'resnet18': head_dilations must be some"):
        build_model("deeplabv2", "resnet18", 3, options={"head_dilations": [7]})
    with pytest.raises(ValueError, match="Model depth is 5, but you provide"):
        build_model("unet", "resnet18", 3, options={"decoder_channels": [4]})


def test_the_encoder_of_caffe_is_that_of_deeplabv2_alone() -> None:
    with pytest.raises(
        ValueError,
        match=r"encoder 'caffe_resnet101' must be .* 'deeplabv2', got model 'unet';"
        " take resnet101",
    ):
        build_model("unet", "caffe_resnet101", 3)
    with pytest.raises(ValueError, match=r"must be a file or None, got 'imagenet'"):
        build_model("deeplabv2", "caffe_resnet101", 3, encoder_weights="imagenet")


@pytest.fixture(scope="module", name="coco")
def make_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file with the names and shapes of that of MS-COCO, in its old format."""
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


def test_the_file_has_the_names_of_that_of_coco(coco: Path) -> None:
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


def test_the_file_of_coco_fills_encoder_and_head(
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
    assert network.pretrained == ["encoder", "head"]
    wanted = [
        p.requires_grad for p in network.get_submodule("network.head").parameters()
    ]
    assert wanted == [True] * 4 + [False] * 4
    assert "starts anew" not in caplog.text


def test_for_other_classes_the_head_keeps_its_own_start_and_it_is_said(
    coco: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    network = build_from(coco, 19)
    loaded, state = encoder_state(network), torch.load(coco, weights_only=True)
    names = [key for key in state if not key.startswith("layer5.")]
    assert all(torch.equal(loaded[key], state[key]) for key in names)
    assert network.pretrained == ["encoder"]
    weight = network.get_parameter("network.head.0.weight")
    assert weight.shape == (19, 2048, 3, 3)
    assert 0.009 < weight.std() < 0.011
    assert f"the head starts anew: that in {coco} is of other classes" in caplog.text


def test_a_file_of_coco_that_lacks_keys_is_refused_by_them(
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


@pytest.mark.parametrize("num_classes", [21, 19])
def test_only_the_parts_that_are_pretrained_are_taken_over(
    coco: Path, num_classes: int
) -> None:
    source = build_from(coco, num_classes)
    torch.manual_seed(5)
    network = build_model("deeplabv2", "caffe_resnet101", num_classes)
    own = {key: value.clone() for key, value in network.state_dict().items()}
    network.take_pretrained(source)
    theirs = source.state_dict()
    for key, value in network.state_dict().items():
        taken = key.startswith("network.encoder.") or num_classes == 21
        assert torch.equal(value, theirs[key] if taken else own[key])
