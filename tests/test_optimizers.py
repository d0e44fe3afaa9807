import pytest
import torch
from torch import nn

from lightning_classmix.optimizers import build_optimizer


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("decay_all", [False, True])
def test_parameters_of_one_dimension_decay_with_decay_all(
    name: str, decay_all: bool
) -> None:
    student = network()
    optimizer, _ = build_optimizer(
        student,
        student[0],
        "sgd" if name == "sgd" else "adamw",
        lr=0.1,
        encoder_lr_factor=0.5,
        weight_decay=0.25,
        decay_all=decay_all,
        steps=10,
    )
    found = {
        key: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for key, parameter in student.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    flat = 0.25 if decay_all else 0.0
    assert found == {
        "0.weight": (0.05, 0.25),
        "0.bias": (0.05, flat),
        "1.weight": (0.1, flat),
        "1.bias": (0.1, flat),
        "2.weight": (0.1, 0.25),
        "2.bias": (0.1, flat),
    }
    assert len(optimizer.param_groups) == (2 if decay_all else 4)


def test_all_parameters_shrink_in_a_step_with_zero_gradients() -> None:
    student = network()
    for parameter in student.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    student[1].requires_grad_(False)
    optimizer, _ = build_optimizer(
        student,
        None,
        "sgd",
        lr=0.5,
        encoder_lr_factor=1.0,
        weight_decay=0.5,
        decay_all=True,
        steps=10,
    )
    optimizer.step()
    for key, value in student.named_parameters():
        # 1 - 0.5 * 0.5; what wants no gradient does not decay either.
        assert (value == (1.0 if key.startswith("1.") else 0.75)).all()
