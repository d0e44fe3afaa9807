"""Training on the labeled images only: the baseline, and the parent of ClassMix."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LRScheduler

from lightning_classmix import batches, ops
from lightning_classmix.checkpoints import adopt_arguments, class_paths, end_epoch
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightning_classmix.metrics import Scoreboard, Scores
from lightning_classmix.models.factory import build_model
from lightning_classmix.models.network import SegmentationNetwork
from lightning_classmix.models.pretrained import load_student
from lightning_classmix.optimizers import build_optimizer


class Supervised(LightningModule):
    """Train a segmentation network on labeled images.

    Takes batches of the batch contract, of which it uses the labeled part, or that
    part alone. Validation and test score by one confusion matrix over the whole set.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        model: Architecture of segmentation-models-pytorch, such as ``unet``, or
            ``deeplabv2``.
        encoder: Its backbone, such as ``resnet50``; any of timm's as ``tu-<name>``.
        encoder_weights: Name of published weights of the encoder, path of a local file,
            or None for random ones; read when a fit starts.
        model_options: Further arguments of the architecture; see `build_model`.
        network: A network of one's own in place of ``model`` and ``encoder``. It
            answers with logits, or with a dict that holds them as ``logits`` or
            ``out``. Pass it again to ``load_from_checkpoint``.
        in_channels: Channels of the images.
        student_weights: Checkpoint of an earlier run of this package whose student the
            training starts from.
        optimizer: ``adamw``, or ``sgd`` with momentum 0.9.
        lr: Learning rate at the first step; it falls to 0 by ``ops.poly``.
        encoder_lr_factor: Factor on ``lr`` for the parameters of ``network.encoder`` or
            ``network.backbone``, if there is such a part. If None, 0.1 for an encoder
            with ``encoder_weights`` and 1 for any other.
        weight_decay: Of all parameters but biases and those of norms.
        decay_all: Let these decay, too.
        freeze_norm: Keep the scales and shifts of batch norms as they are; their
            statistics move on.
        compile: Compile the networks by ``torch.compile`` when a fit starts.
        channels_last: Keep the networks' weights channels last, which is faster on GPUs
            in half precision.
        pad_to: Height and width that smaller images are padded to in validation, test
            and prediction, at the right and at the bottom by their mean color; None
            pads nothing.
        window: Height and width of the windows that slide over an image in validation,
            test and prediction, overlapping by a third; None takes it whole.
        flip_average: Average the probabilities with those of the mirrored image in
            validation, test and prediction, which takes twice the time.
        class_names: Names of the classes, in the log and in tables.
        palette: Colors of the classes, RGB in [0, 255].
        mean: Mean that the images were normalized with, in [0, 1].
        std: Spread that the images were normalized with, in (0, 1].

    Raises:
        ValueError: If an argument is out of its range, or names nothing.

    Example:
        >>> module = Supervised(3, network=nn.Conv2d(3, 3, 1))
        >>> module(torch.zeros(1, 3, 4, 5)).shape
        torch.Size([1, 3, 4, 5])
    """

    evaluate = "student"
    """Which network ``forward`` asks: the name of an attribute."""

    def __init__(
        self,
        num_classes: int,
        *,
        model: str = "deeplabv3plus",
        encoder: str = "resnet50",
        encoder_weights: str | Path | None = "imagenet",
        model_options: dict[str, Any] | None = None,
        network: nn.Module | None = None,
        in_channels: int = 3,
        student_weights: str | Path | None = None,
        optimizer: Literal["adamw", "sgd"] = "adamw",
        lr: float = 1e-3,
        encoder_lr_factor: float | None = None,
        weight_decay: float = 0.01,
        decay_all: bool = False,
        freeze_norm: bool = False,
        compile: bool = False,
        channels_last: bool = False,
        pad_to: tuple[int, int] | None = None,
        window: tuple[int, int] | None = None,
        flip_average: bool = False,
        class_names: Sequence[str] | None = None,
        palette: Sequence[tuple[int, int, int]] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if not 2 <= num_classes <= ops.VOID:
            raise ValueError(f"num_classes must be in [2, 255], got {num_classes}")
        if optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be 'adamw' or 'sgd', got {optimizer!r}")
        pretrained = network is None and encoder_weights is not None
        if encoder_lr_factor is None:
            encoder_lr_factor = 0.1 if pretrained else 1.0
        for name, rate in (("lr", lr), ("encoder_lr_factor", encoder_lr_factor)):
            if not 0 <= rate < math.inf:
                raise ValueError(f"{name} must be at least 0, got {rate}")
        for name, channels in (("mean", mean), ("std", std)):
            if len(channels) != in_channels:
                raise ValueError(
                    f"{name} must have {in_channels} values, one for each of"
                    f" in_channels, got {len(channels)}"
                )
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                f"class_names must hold {num_classes} names, got {len(class_names)}"
            )
        for name, size in (("window", window), ("pad_to", pad_to)):
            if size is not None and min(size) < 1:
                raise ValueError(f"{name} must be at least (1, 1), got {tuple(size)}")
        self.save_hyperparameters(ignore=["network"])
        for name in ("encoder_weights", "student_weights"):
            if isinstance(self.hparams[name], Path):  # a checkpoint holds plain values
                self.hparams[name] = str(self.hparams[name])
        self.num_classes, self.in_channels = num_classes, in_channels
        self.optimizer, self.lr = optimizer, lr
        self.encoder_lr_factor = encoder_lr_factor
        self.weight_decay, self.decay_all = weight_decay, decay_all
        self.class_names = list(class_names or map(str, range(num_classes)))
        self.palette, self.mean, self.std = palette, mean, std
        self.student_weights = student_weights
        self.pad_to, self.window, self.flip_average = pad_to, window, flip_average
        self.compiled, self.channels_last = compile, channels_last
        self.losses: dict[str, Tensor] = {}
        """The last losses of training, by their names in the log."""
        self.scores: dict[str, Scores] = {}
        """What the last validation or test said of each network."""
        self.scored_step = 0
        """The optimizer step that it was at."""

        # The encoder's weights are read when a fit starts that has no checkpoint.
        build = partial(
            build_model,
            model,
            encoder,
            num_classes,
            in_channels=in_channels,
            options=model_options,
        )
        self._pretrained = None
        if pretrained:
            self._pretrained = partial(build, encoder_weights=str(encoder_weights))
        self.student = (
            build() if network is None else SegmentationNetwork(network, num_classes)
        )
        if freeze_norm:
            for module in self.student.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(False)
        self.base_seed = torch.initial_seed()
        self.val_scores, self.test_scores = (Scoreboard(num_classes) for _ in range(2))
        self._score("student")

    def _score(self, name: str) -> None:
        """Score the network ``name`` in validation and test."""
        self.val_scores.add(name)
        self.test_scores.add(name)

    @property
    def backbone(self) -> nn.Module | None:
        """The student's encoder, as Lightning's ``BackboneFinetuning`` wants it."""
        return self.student.encoder

    def forward(self, image: Tensor) -> Tensor:
        """Return the class scores of the network that is meant for prediction.

        Args:
            image: Normalized, float ``(B, 3, H, W)``, of any size.

        Returns:
            Logits, float ``(B, C, H, W)``.
        """
        logits: Tensor = getattr(self, self.evaluate)(image)
        return logits

    def setup(self, stage: str) -> None:
        """Prepare the networks for a fit, and agree on the base seed.

        The student is put into train mode, whatever was called before.
        """
        if stage != "fit":
            return
        # A checkpoint that is resumed is read after this, and brings its own.
        self.base_seed = self.trainer.strategy.broadcast(torch.initial_seed())
        self.train()
        self._checked, self.losses = False, {}
        for network in self._trained_networks():
            if self.channels_last:
                network.to(memory_format=torch.channels_last)
            if self.compiled:
                network.compile()

    def on_fit_start(self) -> None:
        """Read the weights to start from, if our ``configure_optimizers`` did not."""
        self._read_weights()

    def _read_weights(self) -> None:
        """Read the weights that a new fit starts from, once.

        A checkpoint that is resumed was read before, and left nothing to read.
        """
        if self._pretrained is not None:
            self.student.take_pretrained(self._pretrained())
        if self.student_weights is not None:
            load_student(self.student, Path(self.student_weights))
        self._pretrained = self.student_weights = None

    def _trained_networks(self) -> list[nn.Module]:
        """Return the networks that run in a training step."""
        return [self.student]

    def on_train_start(self) -> None:
        """Let the arguments win over the rates and decay of the run that is resumed."""
        ours = type(self).configure_optimizers is Supervised.configure_optimizers
        if ours and self.trainer.ckpt_path is not None:
            adopt_arguments(self.trainer.optimizers[0], self._new_optimizer()[0])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Check the first batch, before anything is learned from it."""
        if not self._checked:
            self._check_batch(batch)
            self._checked = True

    def _check_batch(self, batch: Any) -> None:
        labeled = batches.labeled_part(batch)
        batches.check_labeled(
            labeled, num_classes=self.num_classes, in_channels=self.in_channels
        )
        batches.check_pooled_norm(self.student, labeled["image"])

    @contextmanager
    def random_stream(self, batch_idx: int) -> Iterator[None]:
        """Draw from a stream of this batch and rank alone, then go back to the old one.

        So a run can be resumed exactly, and ranks draw different masks.
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
        image, label = labeled["image"], labeled["label"]
        with self.random_stream(batch_idx):
            loss = ops.cross_entropy(self.student(image), label)
        self.losses = {"train_loss_labeled": loss.detach()}
        self.log("train_loss_labeled", loss, batch_size=len(image))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(image))
        return {"loss": loss}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Check the losses as often as they are logged."""
        interval = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if interval and self.global_step % interval == 0:
            self._check_losses()

    def _check_losses(self, *, weights: bool = False) -> None:
        """Raise a FloatingPointError, on all devices, if a loss is not finite.

        Or a weight: the step behind a finite loss may have spoilt them.
        """
        watched = dict(self.losses)
        if weights and watched:
            watched |= {f"weight {n}": p for n, p in self.student.named_parameters()}
        wrong = [n for n, value in watched.items() if not value.isfinite().all()]
        if self.trainer.strategy.reduce_boolean_decision(bool(wrong), all=False):
            told = ", ".join(f"{n} {watched[n].sum().item()}" for n in wrong[:3])
            raise FloatingPointError(
                f"losses must be finite, got {told or 'others on another device'} at"
                f" step {self.global_step}; lower lr, or clip gradients"
            )

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add one batch to the scores of every network."""
        self._evaluate("val", batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add one batch to the scores of every network."""
        self._evaluate("test", batch, batch_idx)

    def _evaluate(self, stage: str, batch: dict[str, Tensor], batch_idx: int) -> None:
        image, label = batch["image"], batch["label"]
        batches.check_label(label, self.num_classes, f"{stage} batch {batch_idx}")
        board = getattr(self, f"{stage}_scores")
        for name, scores in board.networks.items():
            logits = _resize(self._logits(name, image), label.shape[1:])
            scores.update(logits.argmax(1), label)
            if name == self.evaluate:
                board.loss.update(ops.cross_entropy(logits, label), len(image))

    def on_validation_epoch_end(self) -> None:
        """Log the scores over the whole set."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores over the whole set."""
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        found, loss = getattr(self, f"{stage}_scores").finish()
        if self.trainer.sanity_checking:
            return
        self.scores, self.scored_step = found, self.global_step
        logged = {f"{stage}_loss": loss}
        for name, scores in self.scores.items():
            logged[f"{stage}_miou_{name}"] = scores.miou
        scores = self.scores[self.evaluate]
        logged[f"{stage}_accuracy"] = scores.accuracy
        for label, iou in zip(self.class_names, scores.iou, strict=True):
            logged[f"{stage}_iou/{label}"] = iou
        # The same on every device already.
        self.log(f"{stage}_miou", scores.miou, prog_bar=True, sync_dist=True)
        self.log_dict(logged, sync_dist=True)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Return ``name``, and ``label``, int64 ``(H, W)``, at each image's size.

        An image that could not be read comes with an ``error``, and goes on with it.
        """
        if "error" in batch:
            return batch
        logits = self._logits(self.evaluate, batch["image"])
        label = [
            _resize(one[None], size).argmax(1)[0]
            for one, size in zip(logits, batch["size"].tolist(), strict=True)
        ]
        return {"name": batch["name"], "label": label}

    def _logits(self, name: str, image: Tensor) -> Tensor:
        """Return what the network ``name`` says of images, by windows and mirrored."""
        network: Callable[[Tensor], Tensor] = getattr(self, name)
        if self.pad_to is not None:
            network = partial(ops.padded, network, size=self.pad_to)
        if self.window is not None:
            network = partial(ops.sliding_window, network, window=self.window)
        if self.flip_average:
            return ops.flip_average(network, image)
        return network(image)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the student, and its schedule per step."""
        # The first that is called when a checkpoint has been read, and before callbacks
        # begin: finders of rates and batch sizes must try the weights to start from.
        self._read_weights()
        optimizer, schedule = self._new_optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _new_optimizer(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
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
            decay_all=self.decay_all,
            steps=max(1, int(total)),
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the base seed, by which a resumed run draws alike, and the classes.

        Raises:
            FloatingPointError: If a loss or a weight is not finite; the last checkpoint
                stays.
        """
        self._check_losses(weights=True)
        checkpoint["base_seed"] = self.base_seed
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["class_paths"] = class_paths(model=self, data=data)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the base seed; a loaded network needs no pretrained weights."""
        self.base_seed = checkpoint["base_seed"]
        end_epoch(checkpoint)
        self._pretrained = self.student_weights = None


def _resize(logits: Tensor, size: Sequence[int]) -> Tensor:
    if logits.shape[-2:] == tuple(size):
        return logits
    return functional.interpolate(logits, tuple(size), mode="bilinear")
