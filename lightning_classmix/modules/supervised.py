"""Training on labeled images only: the baseline, and the base class of ClassMix."""

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_classmix import batches, ops
from lightning_classmix.models.pooled_norm import check_pooled_norm
from lightning_classmix.models.probe import prepare_for_training
from lightning_classmix.models.student import build_student
from lightning_classmix.modules.class_weights import ClassWeights, ClassWeightsArgument
from lightning_classmix.modules.training import TrainingModule
from lightning_classmix.ops.ranges import check_ranges


class Supervised(TrainingModule):
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
            or read when training starts.
        model_options: Further arguments of the architecture, such as
            ``decoder_channels`` of ``unet``.
        network: Network to train in place of ``model`` and ``encoder``. It returns
            logits, a dict with logits as ``logits`` or ``out``, or a tuple that starts
            with logits. Checkpoints do not hold it: pass it to ``load_from_checkpoint``
            again.
        backbone: Attribute name of the backbone of ``network``, such as
            ``model.encoder``; None searches for attributes such as ``encoder`` and
            ``backbone``.
        aux_weight: Factor on the loss of the auxiliary heads of ``network`` on labeled
            images, at least 0. The network returns their logits in a dict under keys
            that begin with ``aux``, or in a tuple after the logits. 0 freezes the
            heads.
        student_weights: Path of the weights of the whole network that the training
            starts from: a checkpoint of this package (its student), a state dict, a
            safetensors file or a folder of segmentation-models-pytorch. The head is
            left out if its number of classes differs. None starts from
            ``encoder_weights``.
        class_weights: Factor for each class on the loss of the labeled images; or
            ``balanced``, inversely proportional to the square root of the number of
            labeled pixels of the class, with a mean of 1 over the pixels. The loss is
            divided by the number of pixels, not by the sum of their factors. None
            means 1 for all classes.
        training: Further arguments of `TrainingModule`.

    Raises:
        ValueError: If an argument is out of its range, or a name is unknown.

    Example:
        >>> import torch
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
        backbone: str | None = None,
        aux_weight: float = 0.0,
        student_weights: str | Path | None = None,
        class_weights: ClassWeightsArgument = None,
        **training: Any,
    ) -> None:
        super().__init__(num_classes, **training)
        check_ranges(aux_weight=aux_weight)
        if self.encoder_lr_factor is None:
            pretrained = network is None and encoder_weights is not None
            self.encoder_lr_factor = 0.1 if pretrained else 1.0
        self.aux_weight = aux_weight
        self.class_weights: ClassWeights | None = None
        if class_weights is not None:
            self.class_weights = ClassWeights(class_weights, num_classes)
        self.losses: dict[str, Tensor] = {}
        """Losses of the last training step, by their names in the log."""

        self.student, self.initial_weights = build_student(
            num_classes,
            model=model,
            encoder=encoder,
            encoder_weights=None if encoder_weights is None else str(encoder_weights),
            options=model_options,
            in_channels=self.in_channels,
            network=network,
            backbone=backbone,
            student_weights=student_weights,
        )
        self.network_class = None if network is None else type(network).__qualname__
        """Class name of the network that was passed as ``network``, or None."""
        if self.encoder_lr_factor == 0:
            self.student.freeze_encoder()
        if self.reproduction.freeze_norm:
            for module in self.student.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(False)

    def prepare_student(self) -> None:
        """Prepare the student and its auxiliary heads for a fit."""
        prepare_for_training(
            self.student, self.in_channels, auxiliary=self.aux_weight > 0
        )
        if self.network_class is not None and self.backbone is None:
            rates = (self.encoder_lr_factor, self.encoder_layer_decay)
            say = rank_zero_info if rates == (1.0, 1.0) else rank_zero_warn
            say(
                f"no backbone was found in {self.network_class}: encoder_lr_factor and"
                " encoder_layer_decay have no effect; name it with backbone="
            )
        self._first_batch_checked = False
        self.losses = {}

    def read_initial_weights(self) -> None:
        """Read the weights that a new fit starts from, once."""
        self.initial_weights.read(self.student)

    def on_train_start(self) -> None:
        """Count the classes of the labels, if ``class_weights`` needs it."""
        super().on_train_start()
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

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss on the labeled images, as ``loss``."""
        labeled = batches.labeled_part(batch)
        image = labeled["image"]
        with self.random_stream(batch_idx):
            loss = self.labeled_step(labeled)
        self.losses = {"train_loss_labeled": loss.detach()}
        self.log_dict(self.losses, batch_size=len(image))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(image))
        return {"loss": loss}

    def labeled_step(self, labeled: dict[str, Tensor]) -> Tensor:
        """Return the loss of the student on labeled images, with auxiliary heads.

        Args:
            labeled: ``image``, float ``(B, C_in, H, W)``, and ``label``, int64
                ``(B, H, W)``.
        """
        image = labeled["image"]
        label = labeled["label"]
        if self.aux_weight == 0:
            return self.labeled_loss(self.student(image), label)
        logits, auxiliary = self.student(image, auxiliary=True)
        loss = self.labeled_loss(logits, label)
        for other in auxiliary:
            loss = loss + self.aux_weight * self.labeled_loss(other, label)
        return loss

    def labeled_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss on the labeled images, a scalar.

        Args:
            logits: The student's class scores, float ``(B, C, H, W)``.
            label: True classes, int64 ``(B, H, W)``, void 255.
        """
        weight = None if self.class_weights is None else self.class_weights(label)
        return ops.cross_entropy(logits, label, weight=weight)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class name of the network that was passed."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["network"] = self.network_class

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Skip the initial weights.

        Raises:
            ValueError: If the checkpoint has a network that was passed as ``network``,
                and this module has none.
        """
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("network") and self.network_class is None:
            raise ValueError(
                f"network must be the {checkpoint['network']} that the checkpoint was"
                f" trained with, got None; call {type(self).__name__}"
                ".load_from_checkpoint(path, network=...)"
            )
        self.initial_weights.skip()
