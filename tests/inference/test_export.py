import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.inference.export import export
from lightning_classmix.inference.formats import onnx as onnx_format
from lightning_classmix.inference.predictor import Predictor
from lightning_classmix.models.weights import load_student
from tests import tiny
from tests.disk import file_size_limit

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def small_unet(kind: Any = Supervised, **options: Any) -> Any:
    return kind(3, model="small_unet", model_options={"width": 4}, **options)


def vary_norms(module: nn.Module) -> None:
    """Give the normalization layers statistics that matter."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.running_mean)  # type: ignore[arg-type]
            layer.running_var = torch.rand_like(layer.running_var) + 0.5  # type: ignore[arg-type]


def run_onnx(file: Path, image: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


SIZES = [(1, 70, 50), (2, 64, 96), (3, 20, 31), (1, 133, 257)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        ("unet", "resnet18"),
        ("deeplabv3plus", "mobilenet_v2"),
        ("pan", "resnet18"),
        ("deeplabv2", "resnet18"),
        ("unet", "tu-tf_efficientnet_lite0"),
    ],
)
def test_an_onnx_file_has_the_logits_of_the_module_at_any_size(
    tmp_path: Path, model: str, encoder: str
) -> None:
    module = Supervised(4, model=model, encoder=encoder, encoder_weights=None).eval()
    file = export(module, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["image_size"] == "any"
    for batch, height, width in SIZES:
        image = torch.rand(batch, 3, height, width)
        with torch.no_grad():
            expected = module(image)
        logits = run_onnx(file, image)
        assert logits.shape == expected.shape
        assert (logits - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linknet", "manet", "unetplusplus", "segformer"])
def test_other_decoders_are_exported_to_onnx_for_any_size(
    tmp_path: Path, model: str
) -> None:
    options: dict[str, Any] = {"encoder_depth": 3}
    if model in ("manet", "unetplusplus"):
        options["decoder_channels"] = [16, 8, 8]
    module = Supervised(
        4, model=model, encoder="resnet18", encoder_weights=None, model_options=options
    ).eval()
    file = export(module, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["image_size"] == "any"
    image = torch.rand(2, 3, 45, 70)
    with torch.no_grad():
        expected = module(image)
    assert (run_onnx(file, image) - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.slow
def test_an_onnx_file_of_a_small_unet_accepts_any_size(tmp_path: Path) -> None:
    module = small_unet().eval()
    vary_norms(module)
    file = export(module, tmp_path)
    for batch, height, width in SIZES:
        image = torch.rand(batch, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(
                run_onnx(file, image), module(image), rtol=1e-3, atol=1e-4
            )


class Pooled(nn.Module):
    """A network whose layers depend on the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.conv(image), (5, 7))
        return nn.functional.interpolate(pooled, image.shape[-2:], mode="bilinear")


@pytest.mark.slow
def test_a_network_that_depends_on_the_size_is_exported_for_one_size(
    tmp_path: Path,
) -> None:
    module = Supervised(3, network=Pooled(), window=(40, 56)).eval()
    with pytest.warns(UserWarning, match="for one image size only, here 40 x 56"):
        file = export(module, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["image_size"] == [40, 56]
    image = torch.rand(2, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(
            run_onnx(file, image), module(image), rtol=1e-3, atol=1e-4
        )


@pytest.mark.slow
def test_an_onnx_file_with_other_logits_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_format, "relative_difference", lambda *_: 0.5)
    module = Supervised(3, network=nn.Conv2d(3, 3, 1), window=(8, 8))
    with (
        pytest.warns(UserWarning, match=r"differ by 5\.0e-01 at other sizes"),
        pytest.raises(ValueError, match=r"relative difference of 5\.0e-01"),
    ):
        export(module, tmp_path)
    assert not list(tmp_path.glob("*"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:float images are used unchanged")
def test_metadata_stands_beside_the_file_and_in_it(tmp_path: Path) -> None:
    names = ["road", "car", "sky"]
    module = small_unet(class_names=names, mean=(0.1, 0.2, 0.3))
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(module, tiny.data(mean=(0.1, 0.2, 0.3), size=(30, 40)))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    file = export(tmp_path / "run.ckpt", tmp_path / "out")
    values = json.loads((tmp_path / "out/model.json").read_text())
    assert values["class_names"] == names
    assert values["mean"] == [0.1, 0.2, 0.3]
    assert values["resize_to"] == [30, 40]
    assert values["step"] == 2
    assert values["channels"] == "RGB"
    assert values["palette"][1] == [128, 0, 0]
    assert values["versions"]["torch"]
    inside = {p.key: json.loads(p.value) for p in onnx.load(file).metadata_props}
    assert inside["class_names"] == names
    assert inside["stride"] == values["stride"] == 1


def test_the_score_of_a_checkpoint_is_in_the_metadata(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, "best", monitor="val_miou", mode="max")
    trainer = tiny.trainer(max_steps=5, callbacks=[best], enable_checkpointing=True)
    trainer.fit(small_unet(), tiny.data())
    export(best.best_model_path, tmp_path / "out", format="safetensors")
    values = json.loads((tmp_path / "out/model.json").read_text())
    assert values["score"] == {"val_miou": pytest.approx(float(best.best_model_score))}  # type: ignore[arg-type]


def test_teacher_and_student_are_exported_by_name(tmp_path: Path) -> None:
    module = small_unet(ClassMix)
    nn.init.ones_(module.teacher.network.network.head.bias)
    nn.init.zeros_(module.student.network.head.bias)
    values = {None: 1.0, "teacher": 1.0, "student": 0.0}
    for network, value in values.items():
        out = tmp_path / str(network)
        export(module, out, network=network, format="safetensors")  # type: ignore[arg-type]
        other = small_unet()
        load_student(other.student, out / "model.safetensors")
        assert other.student.network.head.bias.unique().item() == value
    with pytest.raises(ValueError, match="network must be"):
        export(small_unet(), tmp_path / "x", network="teacher", format="safetensors")


def test_an_exported_checkpoint_predicts_as_the_module(tmp_path: Path) -> None:
    module = small_unet(ClassMix, labeled_only_steps=0, flip_average=True)
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(module, tiny.data(size=(16, 24)))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    file = export(tmp_path / "run.ckpt", tmp_path / "out", format="checkpoint")
    image = torch.rand(3, 30, 41)
    for loaded in (tmp_path / "run.ckpt", file):
        probabilities = Predictor.from_checkpoint(loaded, device="cpu")(
            image, probabilities=True
        )
        torch.testing.assert_close(
            probabilities, module.predict(image, probabilities=True), rtol=0, atol=0
        )
    weights = sum(value.nbytes for value in module.student.state_dict().values())
    assert file.stat().st_size < 1.5 * weights + 20_000
    assert (tmp_path / "run.ckpt").stat().st_size > 2 * file.stat().st_size


def test_an_smp_folder_is_loaded_by_from_pretrained(tmp_path: Path) -> None:
    module = ClassMix(4, model="fpn", encoder="resnet18", encoder_weights=None).eval()
    folder = export(module, tmp_path / "smp", format="smp")
    network = smp.from_pretrained(folder).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(image), module(image))
    other = ClassMix(4, model="fpn", encoder="resnet18", encoder_weights=None)
    load_student(other.student, folder)
    state = module.teacher.network.state_dict()
    torch.testing.assert_close(other.student.state_dict(), state)


@pytest.mark.parametrize(
    "module",
    [
        small_unet(),
        Supervised(3, model="deeplabv2", encoder="resnet18", encoder_weights=None),
        Supervised(3, network=tiny.network()),
    ],
    ids=["small_unet", "deeplabv2", "own"],
)
def test_other_architectures_are_refused_by_the_format_smp(
    tmp_path: Path, module: Any
) -> None:
    with pytest.raises(ValueError, match="architecture of segmentation-models") as e:
        export(module, tmp_path, format="smp")
    assert "\n" not in str(e.value)


@pytest.mark.slow
def test_a_torch_export_program_is_loaded(tmp_path: Path) -> None:
    module = small_unet().eval()
    file = export(module, tmp_path, format="torch_export")
    program = torch.export.load(file).module()
    image = torch.rand(2, 3, 45, 70)
    with torch.no_grad():
        torch.testing.assert_close(program(image), module(image))


@pytest.mark.slow
def test_a_torch_export_program_pads_images_to_the_stride(tmp_path: Path) -> None:
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}
    module = Supervised(
        4, model="unet", encoder="resnet18", encoder_weights=None, model_options=options
    ).eval()
    file = export(module, tmp_path, format="torch_export")
    rule = json.loads((tmp_path / "model.json").read_text())["image_size"]
    assert rule == {"at_least": 32}
    program = torch.export.load(file).module()
    for size in ((1, 32, 33), (2, 45, 70), (1, 64, 64)):
        image = torch.rand(size[0], 3, *size[1:])
        with torch.no_grad():
            torch.testing.assert_close(program(image), module(image))


def test_files_of_a_user_are_not_replaced_by_the_format_smp(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    module = Supervised(2, model="linknet", encoder="resnet18", encoder_weights=None)
    with pytest.raises(FileExistsError, match=r"out must not contain .* README\.md;"):
        export(module, tmp_path, format="smp")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"
    export(module, tmp_path, format="safetensors")


def test_an_earlier_export_is_not_replaced(tmp_path: Path) -> None:
    export(small_unet(), tmp_path, format="safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match=r"with model\.json, model\.safetensors"):
        export(small_unet(), tmp_path, format="safetensors")
    assert np.array_equal((tmp_path / "model.safetensors").read_bytes(), before)


@pytest.mark.parametrize(
    "format",
    [
        "safetensors",
        "checkpoint",
        pytest.param("torch_export", marks=pytest.mark.slow),
        pytest.param("onnx", marks=pytest.mark.slow),
    ],
)
def test_on_a_full_disk_an_export_leaves_nothing(tmp_path: Path, format: Any) -> None:
    out = tmp_path / "out"
    with pytest.raises(OSError, match="too large") as error, file_size_limit(1000):
        export(small_unet().eval(), out, format=format)
    assert str(error.value.filename).startswith(str(out))
    assert not out.exists()
