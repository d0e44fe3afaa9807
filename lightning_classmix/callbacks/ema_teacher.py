"""The callback that updates the teacher, the moving average of the student."""

from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_classmix import ops
from lightning_classmix.callbacks.compatibility import (
    check_alike,
    check_callbacks,
    check_no_statistics,
    check_optimizers,
    check_strategy,
)
from lightning_classmix.models.teacher import Teacher


class EMATeacher(Callback):
    """Move the teacher towards the student after every optimizer step.

    The only place where teacher weights change. At the start of a new run the teacher
    becomes a copy of the student; a resumed run goes on with its own. A step that loss
    scaling skips moves nothing. `ClassMix` adds this callback by itself if the Trainer
    has none.

    Args:
        decay: Share of the past in the moving average, in [0, 1), once it has warmed
            up: update n, from 0, uses ``min(1 - 1 / (n + 1), decay)``.
        average_buffers: Average the float buffers (the statistics of batch norm) too,
            and copy the integer ones. False leaves the teacher's buffers to itself.
            None averages them unless the teacher labels in train mode, for which the
            authors do not.

    Raises:
        ValueError: If ``decay`` is outside [0, 1).

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), section 2; the authors'
        trainSSL.py, which averages the parameters only.
    """

    def __init__(
        self, decay: float = 0.99, *, average_buffers: bool | None = None
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay, self.average_buffers = decay, average_buffers
        self.updates = 0
        """Updates so far; the warm-up counts these, not the steps of the Trainer."""
        self._buffers = True
        self._stepped = False
        self._hooks: list[RemovableHandle] = []
        self._averages: dict[str, Tensor] = {}  # those that the teacher cannot hold

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what the teacher cannot stand beside, before it is made use of.

        Raises:
            ValueError: If the Trainer has such a strategy or callback.
        """
        if stage == "fit":
            check_strategy(trainer.strategy)
            check_callbacks(trainer.callbacks, EMATeacher)  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the student to the teacher, unless the run is resumed.

        Raises:
            TypeError: If the module has no student and teacher that are alike.
            ValueError: If the teacher would label with statistics that never move.
        """
        student, teacher = _networks(pl_module)
        check_alike(pl_module, student, teacher)
        mode = getattr(pl_module.teacher, "mode", None)
        given = self.average_buffers
        self._buffers = mode != "train" if given is None else given
        if mode == "eval" and not self._buffers:
            check_no_statistics(teacher)
        teacher.requires_grad_(False)  # unfreeze() may have been called
        if trainer.global_step == 0 and trainer.ckpt_path is None:
            teacher.load_state_dict(student.state_dict())
            self.updates, self._averages = 0, {}
        self._hold(teacher)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to listen to the optimizers.

        Raises:
            ValueError: If an optimizer holds the teacher's parameters.
        """
        check_optimizers(trainer.optimizers, _networks(pl_module)[1])
        self._stepped = False
        self._stop_listening()  # a finder of rates has trained before
        # Those of DeepSpeed hold the one that steps.
        steppers = [getattr(one, "optimizer", one) for one in trainer.optimizers]
        self._hooks = [one.register_step_post_hook(self._on_step) for one in steppers]

    def _on_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Note a step. One that loss scaling skips comes not here, or with the inf."""
        found_inf = getattr(optimizer, "found_inf", None)
        self._stepped |= found_inf is None or not found_inf.item()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Update the teacher if the batch ended in an optimizer step."""
        if not self._stepped:
            return  # gradients are still being accumulated, or overflowed
        self._stepped = False
        self._update(*_networks(pl_module))

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        """Stop to listen."""
        self._stop_listening()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop to listen."""
        self._stop_listening()

    def _stop_listening(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    @torch.no_grad()
    def _update(self, student: nn.Module, teacher: nn.Module) -> None:
        values = _tensors(student, buffers=self._buffers)
        if self._buffers:
            values |= _of_first_device(dict(student.named_buffers()))
        averages = _tensors(teacher, buffers=self._buffers)
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

    def _hold(self, teacher: nn.Module) -> None:
        """Keep the averages that the teacher itself cannot hold.

        In tensors narrower than float32 small moves would vanish, and the statistics of
        batch norm are overwritten while the teacher labels in train mode.
        """
        held, self._averages = self._averages, {}
        statistics = dict(teacher.named_buffers())
        for name, value in _tensors(teacher, buffers=self._buffers).items():
            narrow = value.dtype.itemsize < 4
            if value.is_floating_point() and (narrow or name in statistics):
                wide = torch.promote_types(value.dtype, torch.float32)
                average = held.get(name, value)
                self._averages[name] = average.to(value.device, wide, copy=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates; the averages are saved as the teacher's."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of the run that is resumed."""
        self.updates = state_dict["updates"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the averages at their full width, in place of the teacher's tensors."""
        prefix = _prefix(pl_module)
        for name, average in self._averages.items():
            checkpoint["state_dict"][prefix + name] = average

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the averages back at their full width."""
        prefix = _prefix(pl_module)
        self._averages = {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }


def _prefix(module: LightningModule) -> str:
    """Return what the keys of the averaged network begin with in a checkpoint."""
    return (
        "teacher.network."
        if isinstance(getattr(module, "teacher", None), Teacher)
        else "teacher."
    )


def _tensors(network: nn.Module, *, buffers: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = dict(network.named_parameters())
    return tensors | dict(network.named_buffers()) if buffers else tensors


def _of_first_device(buffers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float buffers as the first device has them, which it saves."""
    floats = {name: b for name, b in buffers.items() if b.is_floating_point()}
    if not floats or not (dist.is_available() and dist.is_initialized()):
        return {}
    flat = torch.cat([buffer.flatten() for buffer in floats.values()])
    dist.broadcast(flat, src=0)
    parts = torch.split(flat, [buffer.numel() for buffer in floats.values()])
    return {
        name: part.view_as(buffer)
        for (name, buffer), part in zip(floats.items(), parts, strict=True)
    }


def _networks(module: LightningModule) -> tuple[Any, Any]:
    teacher = getattr(module, "teacher", None)
    averaged = teacher.network if isinstance(teacher, Teacher) else teacher
    return getattr(module, "student", None), averaged
