"""ClassMix: paste half of the classes of one unlabeled image into another."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_classmix import batches, ops
from lightning_classmix.augment import AugmentName, build_augment
from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.callbacks.finite_loss import FiniteLoss
from lightning_classmix.callbacks.loader_checks import check_training_loaders
from lightning_classmix.mixers import Mixer, MixerName, build_mixer
from lightning_classmix.models.teacher import Teacher, TeacherMode
from lightning_classmix.modules.mixed import (
    Consistency,
    Mixed,
    PseudoLabel,
    Weighting,
    build_weighting,
    consistency_loss,
)
from lightning_classmix.modules.supervised import Supervised
from lightning_classmix.ops.ranges import check_choice, check_ranges


class ClassMix(Supervised):
    """Train a segmentation network on labeled and unlabeled images.

    The teacher, the moving average of the student, predicts labels for the unlabeled
    images. Half of the classes predicted for one image are pasted into the next image
    of the batch, pixels and labels alike. The student is trained on mixed and labeled
    images. `EMATeacher` is added to the Trainer's callbacks if missing. The attributes
    ``mixer`` (label → mask), ``weighting`` (confidence, ``valid=`` → weight) and
    ``augment`` (mixed images → mixed images) may be replaced.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        mixer: Mask rule: ``classmix``, ``cutmix``, ``cowmix``, ``none`` for unmixed
            images, or in Python a function from label to mask.
        rounding: Rounding of half an odd number of classes: ``floor``, ``ceil``; for
            the mask rule ``classmix``.
        exclude: Class indices that are never pasted; for the mask rule ``classmix``.
        weighting: Weight of each mixed pixel in the loss: 1 (``uniform``); the share of
            pixels with a confidence of at least ``threshold``, in the batch
            (``confident_share``) or image (``confident_share_per_image``); 1 or 0
            (``confident_pixels``); or a function from confidence, ``valid=`` to weight.
        consistency: Loss on the mixed images: ``cross_entropy`` with the pseudo-labels,
            or ``mean_squared_error`` between the probabilities of student and teacher.
        threshold: Teacher probability from which a pixel is confident, in [0, 1].
        unlabeled_weight: Factor on the loss of the mixed images, at least 0.
        labeled_only_steps: Optimizer steps at the start that use labeled images only.
        ramp_steps: Optimizer steps over which ``unlabeled_weight`` then rises from 0.
        augment: Color jitter and blur of the mixed images: ``strong``, drawn per image;
            ``olsson2021``, drawn per batch; ``none``; or a function of images.
        evaluate: Network used for prediction: ``teacher``, or the paper's ``student``.
        teacher_mode: Mode of the teacher while it predicts pseudo-labels: ``train``, as
            in the paper, with dropout and the batch-norm statistics of the unlabeled
            batch, which it collects for validation and prediction; or ``eval``.
        supervised: Further arguments of `Supervised`.

    Raises:
        ValueError: If an argument is out of its range, or a name is unknown.

    Example:
        >>> module = ClassMix(3, network=nn.Conv2d(3, 3, 1), mixer="cutmix")
        >>> module.mixer(torch.zeros(2, 8, 8).long()).shape
        torch.Size([2, 8, 8])

    Source:
        Olsson, Tranheden, Pinto, Svensson, WACV 2021 (arXiv 2007.07936), Alg. 2. The
        labeled-only start, the ramp, the uniform weight and the teacher's mode are
        ours: our runs are much shorter than the authors'.
    """

    networks: ClassVar[Sequence[str]] = ("student", "teacher")

    mixer: Mixer
    weighting: Weighting
    augment: Callable[[Tensor], Tensor]

    def __init__(
        self,
        num_classes: int,
        *,
        mixer: MixerName | Callable[..., Any] = "classmix",
        rounding: Literal["floor", "ceil"] = "floor",
        exclude: Sequence[int] = (),
        weighting: ops.PixelWeighting | Callable[..., Any] = "uniform",
        consistency: Consistency = "cross_entropy",
        threshold: float = 0.968,
        unlabeled_weight: float = 1.0,
        labeled_only_steps: int = 300,
        ramp_steps: int = 200,
        augment: AugmentName | Callable[..., Any] = "strong",
        evaluate: Literal["teacher", "student"] = "teacher",
        teacher_mode: TeacherMode = "train",
        **supervised: Any,
    ) -> None:
        super().__init__(num_classes, **supervised)
        check_ranges(
            threshold=threshold,
            unlabeled_weight=unlabeled_weight,
            labeled_only_steps=labeled_only_steps,
            ramp_steps=ramp_steps,
        )
        check_choice("evaluate", evaluate, self.networks)
        check_choice("consistency", consistency, get_args(Consistency))
        self.consistency = consistency
        self.threshold = threshold
        self.unlabeled_weight = unlabeled_weight
        self.labeled_only_steps = labeled_only_steps
        self.ramp_steps = ramp_steps
        self.evaluate = evaluate

        if isinstance(mixer, str):
            mixer = build_mixer(mixer, num_classes, rounding=rounding, exclude=exclude)
        self.mixer = mixer
        if isinstance(weighting, str):
            weighting = build_weighting(weighting, threshold=threshold)
        self.weighting = weighting
        if isinstance(augment, str):
            augment = build_augment(augment, self.mean, self.std)
        self.augment = augment
        self.teacher = Teacher(self.student, mode=teacher_mode)

    def configure_callbacks(self) -> list[Callback]:
        """Add an `EMATeacher` and a `FiniteLoss` if the Trainer has none."""
        return self._missing_callbacks(EMATeacher, FiniteLoss)

    def on_fit_start(self) -> None:
        """Read the weights that a new fit starts from, for the teacher too."""
        new = self.initial_weights.pending
        super().on_fit_start()
        if new:
            self.teacher.network.load_state_dict(self.student.state_dict())

    def on_train_start(self) -> None:
        """Check the loaders: each unlabeled batch must hold two images."""
        check_training_loaders(self.trainer)
        super().on_train_start()

    def _trained_networks(self) -> list[nn.Module]:
        return [self.student, self.teacher.network]

    def check_batch(self, batch: Any) -> None:
        """Raise a ValueError if keys, shapes or dtypes of a batch are wrong."""
        batches.check_both_parts(batch)
        self.check_part(batch["unlabeled"], "unlabeled")
        batches.check_mixable(len(batch["unlabeled"]["image"]))
        super().check_batch(batch)

    def mixed_factor(self) -> float:
        """Return the factor λ on the loss of the mixed images at this step."""
        step = self.global_step - self.labeled_only_steps
        if step < 0:
            return 0.0
        return self.unlabeled_weight * ops.sigmoid_ramp(step, self.ramp_steps)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss ``L_labeled + λ · L_mixed``, and tensors for callbacks."""
        factor = self.mixed_factor()
        if factor == 0:
            return super().training_step(batch, batch_idx)
        batch = batches.standard_batch(batch)
        labeled, unlabeled = batch["labeled"], batch["unlabeled"]

        with self.random_stream(batch_idx):
            with torch.no_grad():
                pseudo = self.pseudo_label(unlabeled)
                mixed = self.mix(unlabeled["image"], pseudo)
            loss_labeled = self.labeled_step(labeled)
            mixed_logits = self.student(mixed.image)

        loss_mixed = self.mixed_loss(mixed_logits, mixed, pseudo)
        loss = loss_labeled + factor * loss_mixed

        self.losses = {
            "train_loss_labeled": loss_labeled.detach(),
            "train_loss_mixed": loss_mixed.detach(),
        }
        confident = ops.confident_share(
            mixed.confidence, threshold=self.threshold, valid=mixed.target != ops.VOID
        )
        logged = self.losses | {"train_confident": confident}
        self.log_dict(logged, batch_size=len(mixed.image))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(mixed.image))
        return {
            "loss": loss,
            "mixed": mixed.image,
            "pseudo_label": pseudo.label,
            "logits": mixed_logits.detach(),
            **{name: getattr(mixed, name) for name in Mixed._fields[1:]},
        }

    def pseudo_label(self, unlabeled: dict[str, Tensor]) -> PseudoLabel:
        """Predict the labels of unlabeled images with the teacher.

        Args:
            unlabeled: ``image``, float ``(B, C_in, H, W)``, and perhaps ``valid``, bool
                ``(B, H, W)``.
        """
        with self.teacher.labeling():
            logits = self.teacher(unlabeled["image"])
        confidence, label = ops.pseudo_label(logits)
        label = label.where(batches.valid_pixels(unlabeled), ops.VOID)
        return PseudoLabel(logits, confidence, label)

    def mix(self, image: Tensor, pseudo: PseudoLabel) -> Mixed:
        """Mix unlabeled images and their pseudo-labels, then augment the images.

        Args:
            image: Unlabeled images, float ``(B, C_in, H, W)``.
            pseudo: Their pseudo-labels.
        """
        mask = self.mixer(pseudo.label)
        mixed = self.augment(ops.mix(image, mask))
        target = ops.mix(pseudo.label, mask)
        confidence = ops.mix(pseudo.confidence, mask)
        weight = self.weighting(confidence, valid=target != ops.VOID)
        return Mixed(mixed, target, mask, confidence, weight)

    def mixed_loss(self, logits: Tensor, mixed: Mixed, pseudo: PseudoLabel) -> Tensor:
        """Return the loss on the mixed images, a scalar.

        Args:
            logits: The student's class scores, float ``(B, C, H, W)``.
            mixed: The mixed images.
            pseudo: The pseudo-labels that were mixed.
        """
        return consistency_loss(self.consistency, logits, mixed, pseudo)
