"""Base class of the modules: optimizer, random numbers and checkpoints of a run."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning.pytorch import Callback
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from lightning_classmix import ops
from lightning_classmix.callbacks.finite_loss import FiniteLoss
from lightning_classmix.checkpoints import adopt_arguments, class_paths, end_epoch
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.modules.evaluation import EvaluationModule
from lightning_classmix.ops.ranges import check_choice, check_ranges
from lightning_classmix.optimizers import build_optimizer


class TrainingModule(EvaluationModule):
    """Base class: train a student so that a resumed run ends like an uninterrupted one.

    A subclass sets the attribute ``student`` and implements ``training_step``.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        optimizer: ``adamw``, or ``sgd`` with momentum 0.9.
        lr: Learning rate at the first step; it decreases to 0 at the last step as
            ``(1 - step / steps) ** 0.9``.
        encoder_lr_factor: Factor on ``lr`` for the parameters of the encoder or
            ``backbone``; 0 freezes it, with its normalization statistics. None means
            0.1 for an encoder with ``encoder_weights``, else 1.
        encoder_layer_decay: Further factor on the learning rate from each block of the
            encoder to the block before it, in (0, 1]; 1 gives all blocks one rate.
        weight_decay: Weight decay; not applied to biases and normalization parameters.
        compile: Compile the networks with ``torch.compile`` when training starts.
        channels_last: Store the weights in channels-last memory format, which is faster
            on GPUs in half precision.
        evaluation: Further arguments of `EvaluationModule`.

    Raises:
        ValueError: If an argument is out of its range, or a name is unknown.
    """

    student: SegmentationNetwork

    def __init__(
        self,
        num_classes: int,
        *,
        optimizer: Literal["adamw", "sgd"] = "adamw",
        lr: float = 1e-3,
        encoder_lr_factor: float | None = None,
        encoder_layer_decay: float = 1.0,
        weight_decay: float = 0.01,
        compile: bool = False,
        channels_last: bool = False,
        **evaluation: Any,
    ) -> None:
        super().__init__(num_classes, **evaluation)
        check_choice("optimizer", optimizer, ("adamw", "sgd"))
        check_ranges(
            lr=lr,
            encoder_lr_factor=encoder_lr_factor,
            encoder_layer_decay=encoder_layer_decay,
            weight_decay=weight_decay,
        )
        self.optimizer = optimizer
        self.lr = lr
        self.encoder_lr_factor = encoder_lr_factor
        self.encoder_layer_decay = encoder_layer_decay
        self.weight_decay = weight_decay
        self.compiled = compile
        self.channels_last = channels_last
        self.base_seed = torch.initial_seed()

    @property
    def backbone(self) -> nn.Module | None:
        """The student's encoder, under the name that ``BackboneFinetuning`` expects."""
        return self.student.encoder

    def configure_callbacks(self) -> list[Callback]:
        """Add a `FiniteLoss` if the Trainer has none."""
        return self._missing_callbacks(FiniteLoss)

    def _missing_callbacks(self, *kinds: type[Callback]) -> list[Callback]:
        present: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return [
            kind()
            for kind in kinds
            if not any(isinstance(callback, kind) for callback in present)
        ]

    def setup(self, stage: str) -> None:
        """Prepare the networks for a fit, and share the base seed between devices.

        The student is put into train mode, whatever was called before.
        """
        super().setup(stage)
        if stage != "fit":
            return
        # A checkpoint that is resumed is read after this, and has its own base seed.
        self.base_seed = self.trainer.strategy.broadcast(torch.initial_seed())
        self.train()
        self.prepare_student()
        for network in self._trained_networks():
            if self.channels_last:
                network.to(memory_format=torch.channels_last)
            if self.compiled:
                network.compile()

    def prepare_student(self) -> None:
        """Prepare the student for a fit, before it is compiled. Override this."""

    def _trained_networks(self) -> list[nn.Module]:
        """Return the networks that run in a training step."""
        return [self.student]

    def read_initial_weights(self) -> None:
        """Read the weights that a new fit starts from. Override this."""

    def on_fit_start(self) -> None:
        """Read the initial weights, if our ``configure_optimizers`` did not."""
        self.read_initial_weights()

    def on_train_start(self) -> None:
        """Let the rates and decay of the arguments replace those of a checkpoint."""
        ours = type(self).configure_optimizers is TrainingModule.configure_optimizers
        if ours and self.trainer.ckpt_path is not None:
            adopt_arguments(self.trainer.optimizers[0], self._build_optimizer()[0])

    @contextmanager
    def random_stream(self, batch_idx: int) -> Iterator[None]:
        """Draw random numbers that depend on seed, rank, epoch and batch only.

        So a run resumes exactly, and ranks draw different masks. The global generator
        continues unchanged afterwards.
        """
        seed = ops.derive_seed(
            self.base_seed, self.global_rank, self.current_epoch, batch_idx
        )
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the student, and its learning rate schedule."""
        # Called after a checkpoint is read and before callbacks start, so that the
        # learning rate and batch size finders start from the initial weights too.
        self.read_initial_weights()
        optimizer, schedule = self._build_optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _build_optimizer(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        total = self.trainer.estimated_stepping_batches
        if math.isinf(total):
            raise ValueError("max_steps or max_epochs must be set on the Trainer")
        factor = 1.0 if self.encoder_lr_factor is None else self.encoder_lr_factor
        return build_optimizer(
            self.student,
            self.backbone,
            self.optimizer,
            lr=self.lr,
            encoder_lr_factor=factor,
            encoder_layer_decay=self.encoder_layer_decay,
            weight_decay=self.weight_decay,
            decay_all=self.reproduction.decay_all,
            steps=max(1, int(total)),
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a resumed run needs: the base seed and the class paths."""
        super().on_save_checkpoint(checkpoint)
        if "callbacks" not in checkpoint:  # weights only: no callback is called
            for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, FiniteLoss):
                    callback.on_save_checkpoint(self.trainer, self, checkpoint)
        checkpoint["base_seed"] = self.base_seed
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["class_paths"] = class_paths(model=self, data=data)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the base seed."""
        super().on_load_checkpoint(checkpoint)
        self.base_seed = checkpoint["base_seed"]
        end_epoch(checkpoint)
