import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.weights import load_student


def network(classes: int = 3, width: int = 4) -> SegmentationNetwork:
    layers = nn.Sequential(
        nn.Conv2d(3, width, 1), nn.BatchNorm2d(width), nn.Conv2d(width, classes, 1)
    )
    return SegmentationNetwork(layers, classes)


def state_of(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + key: value for key, value in module.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "student.", "teacher.network.", "module."])
def test_a_state_dict_of_student_or_teacher_is_read(
    tmp_path: Path, prefix: str
) -> None:
    source, student = network(), network()
    torch.save(state_of(source, prefix), tmp_path / "x.pth")
    load_student(student, tmp_path / "x.pth")
    torch.testing.assert_close(student.state_dict(), source.state_dict())


def test_a_state_dict_of_the_inner_network_is_read(tmp_path: Path) -> None:
    source, student = network(), network()
    torch.save(source.network.state_dict(), tmp_path / "x.pth")
    load_student(student, tmp_path / "x.pth")
    torch.testing.assert_close(student.state_dict(), source.state_dict())


def test_the_student_is_preferred_to_the_teacher(tmp_path: Path) -> None:
    source, teacher, student = network(), network(), network()
    state = state_of(teacher, "teacher.network.") | state_of(source, "student.")
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    load_student(student, tmp_path / "x.ckpt")
    torch.testing.assert_close(student.state_dict(), source.state_dict())


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    source, student = network(), network()
    save_file(source.network.state_dict(), tmp_path / "x.safetensors")
    load_student(student, tmp_path / "x.safetensors")
    torch.testing.assert_close(student.state_dict(), source.state_dict())


def test_a_folder_of_segmentation_models_pytorch_is_read(tmp_path: Path) -> None:
    source, student = network(), network()
    save_file(source.network.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"_model_class": "Unet"}))
    load_student(student, tmp_path)
    torch.testing.assert_close(student.state_dict(), source.state_dict())


def test_a_head_of_other_classes_is_left_out_with_one_warning(tmp_path: Path) -> None:
    source, student = network(classes=7), network()
    head = student.state_dict()["network.2.weight"].clone()
    torch.save(source.state_dict(), tmp_path / "x.pth")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_student(student, tmp_path / "x.pth")
    assert len(caught) == 1
    assert "network.2.bias, network.2.weight keep" in str(caught[0].message)
    own = student.state_dict()
    assert torch.equal(own["network.2.weight"], head)
    assert torch.equal(own["network.0.weight"], source.state_dict()["network.0.weight"])


@pytest.mark.parametrize(
    ("content", "description"),
    [
        ({"fc.weight": torch.zeros(2, 3)}, r"a file of 1 tensors such as fc\.weight"),
        (
            {
                "state_dict": {"student.fc.weight": torch.zeros(2, 3)},
                "class_paths": {"model": "a.Supervised"},
                "hyper_parameters": {"model": "fpn", "encoder": "resnet18"},
            },
            "a checkpoint of a.Supervised with model 'fpn' and encoder 'resnet18'",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_described(
    tmp_path: Path, content: object, description: str
) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=description) as caught:
        load_student(network(), tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_other_widths_are_refused(tmp_path: Path) -> None:
    torch.save(network(width=5).state_dict(), tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"shapes that differ network\.0\.bias"):
        load_student(network(), tmp_path / "x.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    state["network.0.bias"][1] = torch.nan
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth with NaN or infinity in network\.0"):
        load_student(network(), tmp_path / "x.pth")
