import pytest
import torch
from torch import nn

from lightning_classmix import build_model
from lightning_classmix.models.build import MODELS
from lightning_classmix.models.small_unet import SmallUNet


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
        ("unet", "tu-swin_tiny_patch4_window7_224"),
        ("upernet", "tu-swinv2_cr_tiny_224"),
    ],
)
def test_encoders_of_every_library_work(name: str, encoder: str) -> None:
    network = build_model(name, encoder, num_classes=2).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 50, 70)).shape == (1, 2, 50, 70)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_are_accepted(channels: int) -> None:
    network = build_model("unet", "resnet18", 2, in_channels=channels)
    assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 2, 32, 32)


def test_building_leaves_the_network_in_train_mode() -> None:
    assert all(part.training for part in build_model("unet", "resnet18", 2).modules())


def test_an_unknown_encoder_is_refused_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"got 'resnet19'; did you mean .*resnet18"):
        build_model("unet", "resnet19", 3)
    with pytest.raises(ValueError, match=r"got 'tu-resnet19'; .*tu-resnet1"):
        build_model("unet", "tu-resnet19", 3)


def test_an_unknown_model_is_refused_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"model must be known, got 'deeplab'; .*plus"):
        build_model("deeplab", "resnet18", 3)


@pytest.mark.parametrize(
    ("name", "encoder", "reason"),
    [
        ("deeplabv3", "densenet121", "do not support dilated mode"),
        ("dpt", "resnet18", "Only Timm encoders"),
        ("dpt", "tu-convnext_atto", "not a vision transformer that accepts images"),
        ("unet", "tu-vit_tiny_patch16_224", "Use model 'dpt' for a vision transfo"),
    ],
)
def test_a_model_that_cannot_be_combined_with_an_encoder_is_refused(
    name: str, encoder: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"{encoder}'.*: .*{reason}"):
        build_model(name, encoder, 3)


def input_shapes(module: nn.Module) -> list[tuple[int, ...]]:
    """Return a list to which the shape of every input of a module is added."""
    shapes: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    return shapes


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "tu-resnet10t"])
def test_deeplabv2_does_not_pad_images_of_odd_sizes(encoder: str) -> None:
    network = build_model("deeplabv2", encoder, 3).eval()
    assert network.encoder is not None
    seen = input_shapes(network.encoder)
    features: list[tuple[int, ...]] = input_shapes(
        network.get_submodule("network.head.0")
    )
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 33, 71)).shape == (1, 3, 33, 71)
    assert seen == [(1, 3, 33, 71)]
    assert [tuple(shape[2:]) for shape in features] == [(5, 9)]  # an eighth, rounded up


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        ("densenet121", "do not support dilated mode"),
        ("tu-vit_tiny_patch16_224", "Unsupported model downsampling pattern"),
        # an older timm ignores the stride, and the size differs
        ("tu-swin_tiny_patch4_window7_224", "output_stride|doesn't match model"),
        ("tu-ghostnet_050", "dilation not supported"),
        ("tu-vgg11", "it cannot be dilated"),  # timm asserts without a message
    ],
)
def test_an_encoder_that_cannot_be_dilated_is_refused_with_the_reason(
    encoder: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"'deeplabv2' .*'{encoder}'.*: .*({reason})"):
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
    ("name", "encoder", "option", "message"),
    [
        (
            "unet",
            "resnet18",
            "decoder_channel",
            r"unet .*'decoder_channel'; did you mean",
        ),
        (
            "fpn",
            "mobilenet_v2",
            "depth",
            r"model_options of fpn .* must be among encoder_depth, .* got 'depth'",
        ),
        ("deeplabv2", "resnet18", "dilations", "did you mean head_dilations"),
        ("deeplabv2", "tu-resnet10t", "drop_rate", "must be among head_dilations, got"),
        ("deeplabv2", "resnet18", "channel_order", "got 'channel_order'; null removes"),
        ("small_unet", "resnet18", "depth", "did you mean width"),
        ("unet", "tu-resnet10t", "decoder_channel", "argument 'decoder_channel'"),
        ("unet", "resnet18", "classes", "model_options of unet .* must be among"),
        (
            "unet",
            "tu-resnet10t",
            "activation",
            "model_options of unet .* must be among",
        ),
        ("unet", "resnet18", "kwargs", "model_options of unet .* must be among"),
    ],
)
def test_an_unknown_option_is_refused(
    name: str, encoder: str, option: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, encoder, 3, options={option: 3})


def test_an_option_with_an_invalid_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'resnet18': head_dilations must be some"):
        build_model("deeplabv2", "resnet18", 3, options={"head_dilations": [7]})
    with pytest.raises(ValueError, match="Model depth is 5, but you provide"):
        build_model("unet", "resnet18", 3, options={"decoder_channels": [4]})


def test_the_caffe_encoder_is_accepted_for_deeplabv2_only() -> None:
    with pytest.raises(
        ValueError,
        match=r"encoder 'caffe_resnet101' must be .* 'deeplabv2', got model 'unet';"
        " use resnet101",
    ):
        build_model("unet", "caffe_resnet101", 3)
    with pytest.raises(ValueError, match=r"must be a file or None, got 'imagenet'"):
        build_model("deeplabv2", "caffe_resnet101", 3, encoder_weights="imagenet")


def test_the_caffe_encoder_can_reverse_the_channels() -> None:
    torch.manual_seed(0)
    rgb, bgr = (
        build_model(
            "deeplabv2",
            "caffe_resnet101",
            3,
            options={"channel_order": order, "head_dilations": [6]},
        ).eval()
        for order in ("rgb", "bgr")
    )
    bgr.load_state_dict(rgb.state_dict())
    image = torch.randn(1, 3, 33, 41)
    with torch.no_grad():
        assert torch.equal(bgr(image), rgb(image.flip(1)))
        assert not torch.allclose(bgr(image), rgb(image))


def test_a_channel_order_that_does_not_exist_is_refused() -> None:
    for order, channels, message in (
        ("gbr", 3, "channel_order must be one of rgb, bgr, got 'gbr'"),
        ("bgr", 4, "in_channels must be 3 for channel_order 'bgr', got 4"),
    ):
        with pytest.raises(ValueError, match=message):
            build_model(
                "deeplabv2",
                "caffe_resnet101",
                3,
                in_channels=channels,
                options={"channel_order": order},
            )


def test_small_unet_has_the_weights_that_its_class_draws() -> None:
    torch.manual_seed(0)
    network = build_model("small_unet", "resnet50", 7, options={"width": 4})
    torch.manual_seed(0)
    expected = SmallUNet(7, width=4).state_dict()
    state = network.network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert network(torch.zeros(1, 3, 17, 30)).shape == (1, 7, 17, 30)
