"""Training on labeled images only: the baseline, and the base class of ClassMix."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LRScheduler

from lightning_classmix import batches, ops
from lightning_classmix.callbacks.finite_loss import FiniteLoss
from lightning_classmix.checkpoints import adopt_arguments, class_paths, end_epoch
from lightning_classmix.models.build import build_model
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pooled_norm import check_pooled_norm
from lightning_classmix.models.pretrained import load_pretrained
from lightning_classmix.models.weights import load_student
from lightning_classmix.modules.class_weights import ClassWeights, ClassWeightsArgument
from lightning_classmix.modules.evaluation import EvaluationModule
from lightning_classmix.ops.ranges import check_choice, check_ranges
from lightning_classmix.optimizers import build_optimizer


class Supervised(EvaluationModule):
    """Train a segmentation network on labeled images.

    Takes batches ``{"labeled": …, "unlabeled": …}``, of which it uses the labeled part,
    or the labeled part alone. `FiniteLoss` is added to the Trainer's callbacks if it
    has none.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        model: Architecture of segmentation-models-pytorch, such as ``unet``; or
            ``deeplabv2``; or ``small_unet``, which ignores ``encoder`` and needs no
            pretrained weights.
        encoder: Backbone of the architecture, such as ``resnet50``; any backbone of
            timm as ``tu-<name>``.
        encoder_weights: Name of published weights of the encoder, such as ``imagenet``,
            or path of a file; None starts from random weights. Weights are downloaded
            or read when a training starts.
        model_options: Further arguments of the architecture, such as
            ``decoder_channels`` of ``unet``.
        network: Network to train in place of ``model`` and ``encoder``. It returns
            logits, or a dict with logits as ``logits`` or ``out``. Checkpoints do not
            hold it: pass it to ``load_from_checkpoint`` again.
        student_weights: Path of the weights of the whole network that the training
            starts from: a checkpoint of this package (its student), a state dict, a
            safetensors file or a folder of segmentation-models-pytorch. The head is
            left out if its number of classes differs. None starts from
            ``encoder_weights``.
        optimizer: ``adamw``, or ``sgd`` with momentum 0.9.
        lr: Learning rate at the first step; it decreases to 0 at the last step as
            ``(1 - step / steps) ** 0.9``.
        encoder_lr_factor: Factor on ``lr`` for the parameters of the encoder (the
            attribute ``encoder`` or ``backbone`` of the network). None means 0.1 for an
            encoder with ``encoder_weights``, else 1.
        weight_decay: Weight decay; not applied to biases and normalization parameters.
        class_weights: Factor for each class on the loss of the labeled images; or
            ``balanced``, inversely proportional to the square root of the number of
            labeled pixels of the class, with a mean of 1 over the pixels. The loss is
            divided by the number of pixels, not by the sum of their factors. None
            means 1 for all classes.
        compile: Compile the networks with ``torch.compile`` when a training starts.
        channels_last: Store the weights in channels-last memory format, which is faster
            on GPUs in half precision.
        evaluation: Further arguments of `EvaluationModule`.

    Raises:
        ValueError: If an argument is out of its range, or a name is unknown.

    Example:
        >>> module = Supervised(3, network=nn.Conv2d(3, 3, 1))
        >>> module(torch.zeros(1, 3, 4, 5)).shape
        torch.Size([1, 3, 4, 5])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        model: str = "deeplabv3plus",
        encoder: str = "resnet50",
        encoder_weights: str | Path | None = "imagenet",
        model_options: dict[str, Any] | None = None,
        network: nn.Module | None = None,
        student_weights: str | Path | None = None,
        optimizer: Literal["adamw", "sgd"] = "adamw",
        lr: float = 1e-3,
        encoder_lr_factor: float | None = None,
        weight_decay: float = 0.01,
        class_weights: ClassWeightsArgument = None,
        compile: bool = False,
        channels_last: bool = False,
        **evaluation: Any,
    ) -> None:
        super().__init__(num_classes, **evaluation)
        check_choice("optimizer", optimizer, ("adamw", "sgd"))
        check_ranges(lr=lr, encoder_lr_factor=encoder_lr_factor)
        pretrained = network is None and encoder_weights is not None
        if encoder_lr_factor is None:
            encoder_lr_factor = 0.1 if pretrained else 1.0
        self.optimizer = optimizer
        self.lr = lr
        self.encoder_lr_factor = encoder_lr_factor
        self.weight_decay = weight_decay
        self.class_weights: ClassWeights | None = None
        if class_weights is not None:
            self.class_weights = ClassWeights(class_weights, num_classes)
        self.compiled = compile
        self.channels_last = channels_last
        self.student_weights = student_weights
        self.losses: dict[str, Tensor] = {}
        """Losses of the last training step, by their names in the log."""

        # The encoder's weights are read when a fit starts without a checkpoint.
        shape: dict[str, Any] = {
            "in_channels": self.in_channels,
            "options": model_options,
        }
        self._pretrained: Callable[[SegmentationNetwork], None] | None = None
        if pretrained:
            self._pretrained = partial(
                load_pretrained,
                name=model,
                encoder=encoder,
                encoder_weights=str(encoder_weights),
                **shape,
            )
        if network is None:
            self.student = build_model(model, encoder, num_classes, **shape)
        else:
            self.student = SegmentationNetwork(network, num_classes)
        if self.reproduction.freeze_norm:
            for module in self.student.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(False)
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
        self._first_batch_checked = False
        self.losses = {}
        for network in self._trained_networks():
            if self.channels_last:
                network.to(memory_format=torch.channels_last)
            if self.compiled:
                network.compile()

    def _trained_networks(self) -> list[nn.Module]:
        """Return the networks that run in a training step."""
        return [self.student]

    def on_fit_start(self) -> None:
        """Read the initial weights, if our ``configure_optimizers`` did not."""
        self._read_initial_weights()

    def _read_initial_weights(self) -> None:
        """Read the weights that a new fit starts from, once.

        A resumed checkpoint was loaded before; then there is nothing left to read.
        """
        if self._pretrained is not None:
            self._pretrained(self.student)
        if self.student_weights is not None:
            load_student(self.student, Path(self.student_weights))
        self._pretrained = None
        self.student_weights = None

    def on_train_start(self) -> None:
        """Let the rates and decay of the arguments replace those of a checkpoint."""
        ours = type(self).configure_optimizers is Supervised.configure_optimizers
        if ours and self.trainer.ckpt_path is not None:
            adopt_arguments(self.trainer.optimizers[0], self._build_optimizer()[0])
        if self.class_weights is not None:
            loaders: Any = self.trainer.train_dataloader
            self.class_weights.count(batches.labeled_part(loaders).dataset)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Check the form of each batch, and the values of the first."""
        batch = batches.standard_batch(batch)
        self.check_batch(batch)
        if not self._first_batch_checked:
            labeled = batches.labeled_part(batch)
            source = "the first labeled batch"
            batches.check_label(labeled["label"], self.num_classes, source)
            check_pooled_norm(self.student, labeled["image"])
            self._first_batch_checked = True

    def check_batch(self, batch: Any) -> None:
        """Raise a ValueError if keys, shapes or dtypes of a training batch are wrong.

        It runs before each step, and reads no values.
        """
        self.check_part(batches.labeled_part(batch), "labeled")

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

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss on the labeled images, as ``loss``."""
        labeled = batches.labeled_part(batch)
        image = labeled["image"]
        with self.random_stream(batch_idx):
            logits = self.student(image)
        loss = self.labeled_loss(logits, labeled["label"])
        self.losses = {"train_loss_labeled": loss.detach()}
        self.log_dict(self.losses, batch_size=len(image))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(image))
        return {"loss": loss}

    def labeled_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss on the labeled images, a scalar.

        Args:
            logits: The student's class scores, float ``(B, C, H, W)``.
            label: True classes, int64 ``(B, H, W)``, void 255.
        """
        weight = None if self.class_weights is None else self.class_weights(label)
        return ops.cross_entropy(logits, label, weight=weight)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the student, and its learning rate schedule."""
        # Called after a checkpoint is read and before callbacks start, so that the
        # learning rate and batch size finders start from the initial weights too.
        self._read_initial_weights()
        optimizer, schedule = self._build_optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _build_optimizer(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        total = self.trainer.estimated_stepping_batches
        if math.isinf(total):
            raise ValueError("max_steps or max_epochs must be set on the Trainer")
        return build_optimizer(
            self.student,
            self.backbone,
            self.optimizer,
            lr=self.lr,
            encoder_lr_factor=self.encoder_lr_factor,
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
        """Restore the base seed; skip the initial weights."""
        super().on_load_checkpoint(checkpoint)
        self.base_seed = checkpoint["base_seed"]
        end_epoch(checkpoint)
        self._pretrained = None
        self.student_weights = None
