"""Optimizer and learning rate schedule of the student."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from lightning_classmix import ops


def build_optimizer(
    student: nn.Module,
    encoder: nn.Module | None,
    name: Literal["adamw", "sgd"],
    *,
    lr: float,
    encoder_lr_factor: float,
    encoder_layer_decay: float = 1.0,
    weight_decay: float,
    decay_all: bool = False,
    steps: int,
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Build the optimizer of all trainable parameters, and its schedule.

    Args:
        student: Network to train.
        encoder: Part of the network that gets another learning rate; None if there is
            no such part.
        name: ``adamw``, or ``sgd`` with momentum 0.9.
        lr: Learning rate at step 0.
        encoder_lr_factor: Factor on ``lr`` for the parameters of ``encoder``.
        encoder_layer_decay: Further factor from each block of ``encoder`` to the block
            before it.
        weight_decay: Weight decay; not applied to biases and normalization parameters
            (all parameters of one dimension).
        decay_all: Apply weight decay to biases and normalization parameters too.
        steps: Number of steps of the whole run, over which the learning rate decreases
            to 0 as ``ops.poly``.

    Returns:
        The optimizer, and its schedule per step.
    """
    factors: dict[int, float] = {}
    if encoder is not None:
        blocks = encoder_blocks([name for name, _ in encoder.named_parameters()])
        for (_, parameter), block in zip(
            encoder.named_parameters(), blocks, strict=True
        ):
            decay = encoder_layer_decay ** (blocks[-1] - block)
            factors[id(parameter)] = encoder_lr_factor * decay
    groups: dict[tuple[float | None, bool], list[nn.Parameter]] = {}
    for parameter in student.parameters():
        if parameter.requires_grad:
            factor = factors.get(id(parameter))
            kind = factor, decay_all or parameter.ndim > 1
            groups.setdefault(kind, []).append(parameter)
    options = [
        {
            "params": parameters,
            "lr": lr * (1.0 if factor is None else factor),
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]
    optimizer: torch.optim.Optimizer
    if name == "sgd":
        optimizer = torch.optim.SGD(options, lr=lr, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(options, lr=lr)
    return optimizer, PolynomialDecay(optimizer, steps)


def encoder_blocks(names: Sequence[str]) -> list[int]:
    """Return the number of the block of each parameter, from 0 for the stem.

    A block is a module with a number in a list of modules, such as ``blocks.3``,
    ``layer1.0`` or ``stages_0.blocks.2``. A parameter outside of them belongs to the
    block before it.

    Args:
        names: Names of the parameters of an encoder, from its input to its output.

    Example:
        >>> encoder_blocks(["stem.weight", "blocks.0.weight", "blocks.0.bias",
        ...                 "blocks.1.weight", "norm.weight"])
        [0, 1, 1, 2, 2]
    """
    numbers: list[int] = []
    seen: set[str] = set()
    for name in names:
        found = re.match(r"(?:[^.]+\.)*?\d+(?=\.)", name)
        if found:
            seen.add(found[0])
        numbers.append(len(seen))
    return numbers


class PolynomialDecay(LRScheduler):
    """Multiply the initial learning rate of each parameter group by ``ops.poly``.

    Groups that are added later, as by ``BackboneFinetuning``, follow the same factor. A
    resumed run with another number of steps follows the schedule of the new number.

    Args:
        optimizer: Optimizer whose learning rates are scheduled.
        steps: Number of steps of the whole run.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.steps = steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each parameter group at this step."""
        factor = ops.poly(self.last_epoch, self.steps)
        groups = self.optimizer.param_groups
        return [
            group.setdefault("initial_lr", group["lr"]) * factor for group in groups
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the state without ``steps``, which a resumed run sets itself."""
        state: dict[str, Any] = super().state_dict()
        del state["steps"]
        return state
