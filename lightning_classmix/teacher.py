"""The teacher: the moving average of the student, and the callback that moves it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_classmix import ops


class Teacher(nn.Module):
    """A copy of the student that no gradient reaches; `EMATeacher` moves it.

    It is in eval mode whatever ``train()`` and ``eval()`` are called on the module that
    holds it, except within ``labeling()``.

    Args:
        student: Network to copy.
        mode: Mode of the network while it labels, within ``labeling()``. ``train``
            normalises by the statistics of its own batch, and updates them.
    """

    def __init__(
        self, student: nn.Module, *, mode: Literal["eval", "train"] = "eval"
    ) -> None:
        super().__init__()
        if mode not in ("eval", "train"):
            raise ValueError(f"teacher_mode must be 'eval' or 'train', got {mode!r}")
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.mode = mode
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return class scores, float ``(B, C, H, W)``, for a float ``(B, 3, H, W)``."""
        logits: Tensor = self.network(image)
        return logits

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode: the teacher's mode is not the student's."""
        return super().train(False)

    @contextmanager
    def labeling(self) -> Iterator[None]:
        """Put the network into ``mode`` for as long as pseudo-labels are made."""
        self.network.train(self.mode == "train")
        try:
            yield
        finally:
            self.network.eval()


class EMATeacher(Callback):
    """Move the teacher towards the student after every optimizer step.

    The only place where teacher weights change. At the start of a new run the teacher
    becomes a copy of the student; a resumed run goes on with its own. `ClassMix` adds
    this callback by itself if the Trainer has none.

    Args:
        decay: Share of the past in the moving average, in [0, 1), once it has warmed
            up: update n, from 0, uses ``min(1 - 1 / (n + 1), decay)``.
        average_buffers: Average the float buffers (the statistics of batch norm) too,
            and copy the integer ones. False leaves the teacher's buffers to itself, as
            the authors do; its network then labels in train mode.

    Raises:
        ValueError: If ``decay`` is outside [0, 1).

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), section 2; the authors'
        trainSSL.py, which averages the parameters only.
    """

    def __init__(self, decay: float = 0.99, *, average_buffers: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay, self.average_buffers = decay, average_buffers
        self.updates = 0
        """Updates so far; the warm-up counts these, not the steps of the Trainer."""
        self._last_step = 0
        self._averages: dict[str, Tensor] = {}  # of tensors narrower than float32

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the student to the teacher, unless the run is resumed."""
        student, teacher = _networks(pl_module)
        teacher.requires_grad_(False)  # unfreeze() may have been called
        if trainer.global_step == 0 and trainer.ckpt_path is None:
            teacher.load_state_dict(student.state_dict())
            self.updates, self._averages = 0, {}
        self._widen(teacher)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to count from the step that the run starts or resumes at."""
        self._last_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Update the teacher if the batch ended in an optimizer step."""
        if trainer.global_step == self._last_step:
            return  # gradients are still being accumulated
        self._last_step = trainer.global_step
        student, teacher = _networks(pl_module)
        self._update(student, teacher)

    @torch.no_grad()
    def _update(self, student: nn.Module, teacher: nn.Module) -> None:
        values = _tensors(student, buffers=self.average_buffers)
        averages = _tensors(teacher, buffers=self.average_buffers)
        by_dtype: dict[torch.dtype, list[str]] = {}
        for name, average in averages.items():
            if average.is_floating_point():
                by_dtype.setdefault(average.dtype, []).append(name)
            else:
                average.copy_(values[name])

        decay = ops.ema_decay(self.updates, self.decay)
        for names in by_dtype.values():
            wide = [self._averages.get(name, averages[name]) for name in names]
            ops.ema_update_(wide, [values[name] for name in names], decay)
        for name, average in self._averages.items():
            averages[name].copy_(average)
        self.updates += 1

    def _widen(self, teacher: nn.Module) -> None:
        """Keep float32 averages of narrower tensors, where small moves would vanish."""
        tensors = _tensors(teacher, buffers=self.average_buffers)
        for name, value in tensors.items():
            if not value.is_floating_point() or value.dtype.itemsize >= 4:
                continue
            average = self._averages.get(name, value)
            self._averages[name] = average.to(value.device, torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates, and the averages kept beside the teacher."""
        return {"updates": self.updates, "averages": self._averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of the run that is resumed."""
        self.updates = state_dict["updates"]
        self._averages = state_dict["averages"]


def _tensors(network: nn.Module, *, buffers: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = dict(network.named_parameters())
    return tensors | dict(network.named_buffers()) if buffers else tensors


def _networks(module: LightningModule) -> tuple[nn.Module, nn.Module]:
    student, teacher = (
        getattr(module, "student", None),
        getattr(module, "teacher", None),
    )
    if not isinstance(student, nn.Module) or not isinstance(teacher, Teacher):
        raise TypeError(
            "EMATeacher must watch a module with a student and a teacher, got"
            f" {type(module).__name__}"
        )
    return student, teacher.network
