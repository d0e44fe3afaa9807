"""The optimizer of a student: rates, decay and schedule."""

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
    weight_decay: float,
    decay_all: bool = False,
    steps: int,
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Build the optimizer of all parameters that want gradients, and its schedule.

    Biases and the affine parameters of norms, all that has one dimension, do not decay
    unless ``decay_all`` says so.

    Args:
        student: Network to train.
        encoder: The part of it that learns at another rate, if any.
        name: ``adamw``, or ``sgd`` with momentum 0.9.
        lr: Learning rate at step 0.
        encoder_lr_factor: Factor on ``lr`` for ``encoder``.
        weight_decay: Of all parameters with two dimensions or more.
        decay_all: Let parameters of one dimension decay, too.
        steps: Steps of the whole run, over which the rate falls to 0 by ``ops.poly``.

    Returns:
        The optimizer, and its schedule per step.
    """
    slow = set() if encoder is None else {id(p) for p in encoder.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in student.parameters():
        if parameter.requires_grad:
            kind = id(parameter) in slow, decay_all or parameter.ndim > 1
            groups.setdefault(kind, []).append(parameter)
    options = [
        {
            "params": parameters,
            "lr": lr * (encoder_lr_factor if in_encoder else 1.0),
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (in_encoder, decays), parameters in groups.items()
    ]
    optimizer: torch.optim.Optimizer
    if name == "sgd":
        optimizer = torch.optim.SGD(options, lr=lr, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(options, lr=lr)
    return optimizer, PolynomialDecay(optimizer, steps)


class PolynomialDecay(LRScheduler):
    """Multiply the rate that each group began with by ``ops.poly``.

    Groups that join later, as those of ``BackboneFinetuning`` do, fall alike. A run
    that goes on for longer than it was meant to falls as one of its new length.

    Args:
        optimizer: Optimizer whose groups fall.
        steps: Steps of the whole run.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.steps = steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group at this step."""
        factor = ops.poly(self.last_epoch, self.steps)
        groups = self.optimizer.param_groups
        return [
            group.setdefault("initial_lr", group["lr"]) * factor for group in groups
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the schedule; its length is that of the run."""
        state: dict[str, Any] = super().state_dict()
        del state["steps"]
        return state
