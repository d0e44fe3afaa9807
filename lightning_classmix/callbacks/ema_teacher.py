"""The callback that updates the teacher, the moving average of the student."""

import warnings
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_classmix import ops
from lightning_classmix.callbacks.compatibility import (
    check_callbacks,
    check_no_float_buffers,
    check_optimizers,
    check_same_tensors,
    check_strategy,
)
from lightning_classmix.models.teacher import Teacher
from lightning_classmix.ops.ranges import check_ranges


class EMATeacher(Callback):
    """Update the teacher as moving average of the student after each optimizer step.

    When a new run starts, the teacher becomes a copy of the student; a resumed run
    continues with its own. A step that loss scaling skips does not update it. Teacher
    weights change nowhere else. `ClassMix` adds this callback if the Trainer has none.

    Lightning's ``WeightAveraging`` and ``EMAWeightAveraging`` are not used. They
    average the whole module, the teacher included, and replace the student in
    validation, so that the two cannot be scored side by side. They have no warm-up of
    the decay, and a bfloat16 average, in the precision of the weights, stops changing.

    Args:
        decay: Share of the old average that an update keeps, in [0, 1). It warms up:
            update n, from 0, uses ``min(1 - 1 / (n + 1), decay)``.
        average_buffers: Average float buffers (batch norm statistics) too, and copy
            integer buffers; False leaves the teacher's buffers alone. None averages
            them until the teacher collects its own while it labels.

    Raises:
        ValueError: If ``decay`` is outside [0, 1).

    Source:
        Tarvainen and Valpola 2017 (arXiv 1703.01780), section 2; the authors'
        trainSSL.py, which averages parameters only.
    """

    def __init__(
        self, decay: float = 0.99, *, average_buffers: bool | None = None
    ) -> None:
        check_ranges(decay=decay)
        self.decay = decay
        self.average_buffers = average_buffers
        self.updates = 0
        """Number of updates; the warm-up counts these, not the Trainer's steps."""
        self._collected: frozenset[str] = frozenset()  # names of buffers
        self._stepped = False
        self._hooks: list[RemovableHandle] = []
        self._averages: dict[str, Tensor] = {}  # averages that the teacher cannot hold
        self._filters: warnings.catch_warnings[None] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a strategy or callback that the teacher does not work with.

        Raises:
            ValueError: If the Trainer has one.
        """
        if stage == "fit":
            check_strategy(trainer.strategy)
            check_callbacks(trainer.callbacks, EMATeacher)  # type: ignore[attr-defined]
            self._filters = warnings.catch_warnings()  # until the end of the fit
            self._filters.__enter__()
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the student to the teacher, unless the run is resumed.

        Raises:
            TypeError: If the module has no student and teacher with the same tensors.
            ValueError: If the teacher would label with statistics that never change.
        """
        student, teacher = _networks(pl_module)
        check_same_tensors(pl_module, student, teacher)
        if self.average_buffers is False:
            check_no_float_buffers(pl_module.teacher)
        teacher.requires_grad_(False)  # after LightningModule.unfreeze()
        if trainer.global_step == 0 and trainer.ckpt_path is None:
            teacher.load_state_dict(student.state_dict())
            self.updates, self._averages = 0, {}
            if isinstance(pl_module.teacher, Teacher):
                pl_module.teacher.collected = frozenset()
        self._collected = frozenset()
        self._keep_averages(teacher)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register hooks that note the steps of the optimizers.

        Raises:
            ValueError: If an optimizer holds the teacher's parameters.
        """
        check_optimizers(trainer.optimizers, _networks(pl_module)[1])
        self._stepped = False
        self._remove_hooks()  # a learning rate finder has trained before
        for optimizer in trainer.optimizers:
            inner = getattr(optimizer, "optimizer", optimizer)  # DeepSpeed wraps it
            self._hooks.append(inner.register_step_post_hook(self._on_step))

    def _on_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Note a step, unless loss scaling skips it because of an overflow."""
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
        self._forget_collected(pl_module)
        self._update(*_networks(pl_module))

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        """Remove the hooks and restore the warning filters."""
        self._remove_hooks()
        if self._filters is not None:
            self._filters.__exit__(None, None, None)
            self._filters = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Clean up as at the end."""
        self.teardown(trainer, pl_module, "fit")

    def _remove_hooks(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    @torch.no_grad()
    def _update(self, student: nn.Module, teacher: nn.Module) -> None:
        averages = self._tensors(teacher)
        buffers = {n: b for n, b in student.named_buffers() if n in averages}
        values = dict(student.named_parameters()) | buffers | _broadcast_floats(buffers)
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
        collected = {n: b for n, b in teacher.named_buffers() if n in self._collected}
        for name, value in _broadcast_floats(collected).items():
            collected[name].copy_(value)
        self.updates += 1

    def _tensors(self, teacher: nn.Module) -> dict[str, Tensor]:
        """Return the tensors that are averages, by name."""
        tensors: dict[str, Tensor] = dict(teacher.named_parameters())
        if self.average_buffers is False:
            return tensors
        left = self._collected
        return tensors | {n: b for n, b in teacher.named_buffers() if n not in left}

    def _forget_collected(self, pl_module: LightningModule) -> None:
        """Forget the averages of buffers that the teacher collects itself."""
        if self.average_buffers is None:
            self._collected = getattr(pl_module.teacher, "collected", frozenset())
            for name in self._collected & self._averages.keys():
                del self._averages[name]

    def _keep_averages(self, teacher: nn.Module) -> None:
        """Keep averages outside of the teacher where its tensors cannot hold them.

        In tensors narrower than float32 small updates would vanish, and the teacher
        overwrites its statistics of batch norm while it labels.
        """
        kept = self._averages
        self._averages = {}
        statistics = dict(teacher.named_buffers())
        for name, value in self._tensors(teacher).items():
            if value.is_floating_point() and (value.itemsize < 4 or name in statistics):
                wide = torch.promote_types(value.dtype, torch.float32)
                average = kept.get(name, value)
                self._averages[name] = average.to(value.device, wide, copy=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates; averages are saved with the teacher."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of updates."""
        self.updates = state_dict["updates"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Replace the teacher's tensors in the checkpoint by the wider averages."""
        self._forget_collected(pl_module)
        for name, average in self._averages.items():
            checkpoint["state_dict"][_prefix(pl_module) + name] = average

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the averages at their full width."""
        prefix = _prefix(pl_module)
        self._averages = {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }


def _prefix(module: LightningModule) -> str:
    """Return the prefix of the averaged network's keys in a checkpoint."""
    return "teacher.network." if isinstance(module.teacher, Teacher) else "teacher."


def _broadcast_floats(buffers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the float buffers of rank 0, whose buffers are saved."""
    floats = {name: b for name, b in buffers.items() if b.is_floating_point()}
    if not floats or not (dist.is_available() and dist.is_initialized()):
        return {}
    flat = torch.cat([buffer.flatten() for buffer in floats.values()])
    dist.broadcast(flat, src=0)
    parts = torch.split(flat, [buffer.numel() for buffer in floats.values()])
    return {n: p.view_as(b) for (n, b), p in zip(floats.items(), parts, strict=True)}


def _networks(module: LightningModule) -> tuple[Any, Any]:
    teacher = getattr(module, "teacher", None)
    averaged = teacher.network if isinstance(teacher, Teacher) else teacher
    return getattr(module, "student", None), averaged
