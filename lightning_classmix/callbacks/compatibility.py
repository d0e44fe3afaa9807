"""Refuse Trainer settings that a moving-average teacher does not work with."""

import sys
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import (
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.strategies import (
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
)
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.optim import Optimizer


def check_strategy(strategy: Strategy) -> None:
    """Refuse strategies that keep only a part of each weight on a device.

    Raises:
        ValueError: For FSDP, tensor parallelism and DeepSpeed stage 3.
    """
    deepspeed_3 = isinstance(strategy, DeepSpeedStrategy) and strategy.zero_stage_3
    if deepspeed_3 or isinstance(strategy, (FSDPStrategy, ModelParallelStrategy)):
        raise ValueError(
            "strategy must keep whole weights on every device, got"
            f" {type(strategy).__name__}; use 'ddp', the teacher is their average"
        )


def warn_of_other_lightning(name: str) -> None:
    """Warn if ``pytorch_lightning`` was imported in addition to ``lightning``.

    It has a Trainer of its own, which accepts neither our modules nor our data modules,
    and does not say why. Nothing that this package needs imports it.

    Args:
        name: Name of the class that needs the Trainer of ``lightning``.
    """
    if "pytorch_lightning" in sys.modules:
        rank_zero_warn(
            f"{name} must be used with the Trainer of lightning, got an import of"
            " pytorch_lightning, whose Trainer does not accept it; write 'from"
            " lightning.pytorch import Trainer'"
        )


def check_callbacks(callbacks: Sequence[Callback], teacher: type[Callback]) -> None:
    """Refuse a second teacher callback and stochastic weight averaging.

    Warns of Lightning's other weight averaging callbacks.

    Args:
        callbacks: All callbacks of a Trainer.
        teacher: Class of the callback that updates the teacher.

    Raises:
        ValueError: If there are two of it, or a StochasticWeightAveraging.
    """
    names = [type(c).__name__ for c in callbacks if isinstance(c, teacher)]
    if len(names) > 1:
        raise ValueError(f"callbacks must hold one teacher, got {', '.join(names)}")
    for callback in callbacks:
        name = type(callback).__name__
        if isinstance(callback, StochasticWeightAveraging):
            raise ValueError(
                f"callbacks must not hold {name} and EMATeacher, got both; it would"
                " change the student, and the teacher is an average already"
            )
        if isinstance(callback, WeightAveraging):
            rank_zero_warn(
                f"{name} averages the whole module, the teacher too; EMATeacher"
                " averages the student already"
            )


def check_optimizers(optimizers: list[Optimizer], teacher: nn.Module) -> None:
    """Refuse optimizers that would train the teacher.

    Raises:
        ValueError: If an optimizer holds a parameter of the teacher.
    """
    names = {id(weight): name for name, weight in teacher.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if id(weight) in names:
                    raise ValueError(
                        "optimizers must hold the student's parameters only, got the"
                        f" teacher's {names[id(weight)]}; use student.parameters()"
                    )


def check_same_tensors(
    module: LightningModule, student: object, teacher: object
) -> None:
    """Refuse a module whose student and teacher have different tensors.

    Raises:
        TypeError: If they are not networks with the same tensor names.
    """
    if (
        not isinstance(student, nn.Module)
        or not isinstance(teacher, nn.Module)
        or student.state_dict().keys() != teacher.state_dict().keys()
    ):
        raise TypeError(
            "EMATeacher must be used with a module that has a student and a teacher of"
            f" the same architecture, got {type(module).__name__}"
        )


def check_no_float_buffers(teacher: Any) -> None:
    """Refuse a teacher in eval mode whose batch norm statistics never change.

    Raises:
        ValueError: If the teacher has float buffers.
    """
    mode = getattr(teacher, "mode", None)
    if mode == "eval" and any(b.is_floating_point() for b in teacher.buffers()):
        raise ValueError(
            "average_buffers must be True for teacher_mode='eval', got False; the"
            " teacher would label with its initial batch norm statistics"
        )
