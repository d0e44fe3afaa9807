"""ClassMix: half of the classes of one unlabeled image, pasted into another."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_classmix import batches, ops
from lightning_classmix.augment import Olsson2021Augment, StrongAugment
from lightning_classmix.callbacks.ema_teacher import EMATeacher
from lightning_classmix.models.teacher import Teacher
from lightning_classmix.modules.supervised import Supervised


class ClassMix(Supervised):
    """Train a segmentation network on labeled and unlabeled images.

    The teacher, the moving average of the student, labels the unlabeled images. Half
    of the classes that it sees in one image are pasted into the next image of the
    batch, and their labels likewise; the student learns the mix beside the labeled
    images. `EMATeacher` is added to the Trainer's callbacks if it has none.

    The parts ``mixer`` (label → mask), ``weighting`` (confidence, valid → weight) and
    ``augment`` (mixed → mixed) are attributes that may be replaced.

    Args:
        num_classes: Number of classes, C, in [2, 255].
        mixer: Rule of the mask: ``classmix``, ``cutmix``, ``cowmix``, or ``none``, by
            which every image stays as it is.
        rounding: How half of an odd number of classes is rounded, ``floor`` or
            ``ceil``; for ``classmix``.
        exclude: Classes that are never drawn, such as a background; for ``classmix``.
        weighting: Rule of the pixels' weights; see `ops.pixel_weight`.
        consistency: Loss of the mixed images: ``cross_entropy`` to the teacher's
            labels, or ``mean_squared_error`` to its probabilities.
        threshold: Confidence from which on a pixel counts as confident, in [0, 1].
        unlabeled_weight: Factor on the loss of the mixed images, at least 0.
        labeled_only_steps: Optimizer steps on labeled images alone, at the start.
        ramp_steps: Optimizer steps over which the factor then grows to its full size.
        augment: Color jitter and blur of the mixed images: ``strong``, each by itself;
            ``olsson2021``, a batch or none of it, as the authors do; or ``none``.
        evaluate: Network that predicts: ``teacher``, or ``student`` as in the paper.
        teacher_mode: Mode in which the teacher labels: ``eval``, or ``train`` as in the
            paper. For validation and prediction it is always in eval mode.
        supervised: Further arguments of `Supervised`.

    Raises:
        ValueError: If an argument is out of its range, or names nothing.

    Example:
        >>> module = ClassMix(3, network=nn.Conv2d(3, 3, 1), mixer="cutmix")
        >>> module.mixer(torch.zeros(2, 8, 8).long()).shape
        torch.Size([2, 8, 8])

    Source:
        Olsson, Tranheden, Pinto, Svensson, WACV 2021 (arXiv 2007.07936), Alg. 2. The
        start on labeled images, the ramp, the uniform weight and the teacher's eval
        mode are ours: they are what runs much shorter than the authors' need.
    """

    mixer: Callable[[Tensor], Tensor]
    weighting: Callable[..., Tensor]
    augment: nn.Module
    consistency: Callable[..., Tensor]

    def __init__(
        self,
        num_classes: int,
        *,
        mixer: Literal["classmix", "cutmix", "cowmix", "none"] = "classmix",
        rounding: Literal["floor", "ceil"] = "floor",
        exclude: Sequence[int] = (),
        weighting: ops.PixelWeighting = "uniform",
        consistency: Literal["cross_entropy", "mean_squared_error"] = "cross_entropy",
        threshold: float = 0.968,
        unlabeled_weight: float = 1.0,
        labeled_only_steps: int = 300,
        ramp_steps: int = 200,
        augment: Literal["strong", "olsson2021", "none"] = "strong",
        evaluate: Literal["teacher", "student"] = "teacher",
        teacher_mode: Literal["eval", "train"] = "eval",
        **supervised: Any,
    ) -> None:
        super().__init__(num_classes, **supervised)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        for name, value in (
            ("unlabeled_weight", unlabeled_weight),
            ("labeled_only_steps", labeled_only_steps),
            ("ramp_steps", ramp_steps),
        ):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if evaluate not in ("teacher", "student"):
            raise ValueError(
                f"evaluate must be 'teacher' or 'student', got {evaluate!r}"
            )
        self.threshold, self.unlabeled_weight = threshold, unlabeled_weight
        self.labeled_only_steps, self.ramp_steps = labeled_only_steps, ramp_steps
        self.evaluate = evaluate

        mixers: dict[str, Callable[[Tensor], Tensor]] = {
            "classmix": partial(
                ops.classmix_mask,
                num_classes=num_classes,
                rounding=rounding,
                exclude=tuple(exclude),
            ),
            "cutmix": _box,
            "cowmix": _blotches,
            "none": _everything,
        }
        if mixer not in mixers:
            raise ValueError(f"mixer must be one of {', '.join(mixers)}, got {mixer!r}")
        self.mixer = mixers[mixer]
        self.weighting = partial(ops.pixel_weight, kind=weighting, threshold=threshold)
        # What the operations refuse, they refuse here.
        nothing = torch.empty(2, 1, 1, device="meta")
        self.mixer(nothing.long()), self.weighting(nothing)
        augments: dict[str, Callable[..., nn.Module]] = {
            "strong": StrongAugment,
            "olsson2021": Olsson2021Augment,
            "none": nn.Identity,
        }
        if augment not in augments:
            raise ValueError(
                f"augment must be one of {', '.join(augments)}, got {augment!r}"
            )
        self.augment = augments[augment](self.mean, self.std)
        consistencies: dict[str, Callable[..., Tensor]] = {
            "cross_entropy": _to_labels,
            "mean_squared_error": _to_probabilities,
        }
        if consistency not in consistencies:
            raise ValueError(
                f"consistency must be one of {', '.join(consistencies)}, got"
                f" {consistency!r}"
            )
        self.consistency = consistencies[consistency]
        self.teacher = Teacher(self.student, mode=teacher_mode)
        self._score("teacher")

    def configure_callbacks(self) -> list[Callback]:
        """Add an `EMATeacher`, so that the teacher cannot be forgotten."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(callback, EMATeacher) for callback in callbacks):
            return []
        return [EMATeacher()]

    def setup(self, stage: str) -> None:
        """Prepare as `Supervised` does; that the teacher is in eval mode is meant."""
        super().setup(stage)
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")

    def on_fit_start(self) -> None:
        """Read the weights that a new fit starts from, for the teacher too."""
        new = self._pretrained is not None or self.student_weights is not None
        super().on_fit_start()
        if new:
            self.teacher.network.load_state_dict(self.student.state_dict())

    def _trained_networks(self) -> list[nn.Module]:
        return [self.student, self.teacher.network]

    def _check_batch(self, batch: Any) -> None:
        batches.check_unlabeled(batch, in_channels=self.in_channels)
        super()._check_batch(batch)

    def mixed_factor(self) -> float:
        """Return the factor λ on the loss of the mixed images at this step."""
        step = self.global_step - self.labeled_only_steps
        if step < 0:
            return 0.0
        return self.unlabeled_weight * ops.sigmoid_ramp(step, self.ramp_steps)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss ``L_labeled + λ · L_mixed``, and what was mixed."""
        factor = self.mixed_factor()
        if factor == 0:
            return super().training_step(batch, batch_idx)
        labeled, unlabeled = batch["labeled"], batch["unlabeled"]
        image, valid = unlabeled["image"], batches.valid_pixels(unlabeled)

        with self.random_stream(batch_idx):
            with torch.no_grad(), self.teacher.labeling():
                logits = self.teacher(image)
                confidence, label = ops.pseudo_label(logits)
                label = label.where(valid, ops.VOID)
                mask = self.mixer(label)
                mixed, target = self.augment(ops.mix(image, mask)), ops.mix(label, mask)
                confidence, counts = ops.mix(confidence, mask), target != ops.VOID
                weight = self.weighting(confidence, valid=counts)
            predicted, shown = self.student(labeled["image"]), self.student(mixed)
        loss_labeled = ops.cross_entropy(predicted, labeled["label"])
        loss_mixed = self.consistency(shown, target, logits, mask, weight)
        loss = loss_labeled + factor * loss_mixed

        losses = {"train_loss_labeled": loss_labeled, "train_loss_mixed": loss_mixed}
        self.losses = {name: value.detach() for name, value in losses.items()}
        confident = ops.pixel_weight(
            confidence, "confident_share", threshold=self.threshold, valid=counts
        ).amax()
        self.log_dict(losses | {"train_confident": confident}, batch_size=len(image))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(image))
        return {"loss": loss, "mixed": mixed, "target": target, "weight": weight}


def _to_labels(
    shown: Tensor, target: Tensor, logits: Tensor, mask: Tensor, weight: Tensor
) -> Tensor:
    return ops.cross_entropy(shown, target, weight=weight)


def _to_probabilities(
    shown: Tensor, target: Tensor, logits: Tensor, mask: Tensor, weight: Tensor
) -> Tensor:
    soft = ops.mix(logits.softmax(1, dtype=weight.dtype), mask)
    return ops.mean_squared_error(shown, soft, weight=weight, valid=target != ops.VOID)


def _box(label: Tensor) -> Tensor:
    return ops.cutmix_mask(tuple(label.shape), device=label.device)  # type: ignore[arg-type]


def _blotches(label: Tensor) -> Tensor:
    return ops.cowmix_mask(tuple(label.shape), device=label.device)  # type: ignore[arg-type]


def _everything(label: Tensor) -> Tensor:
    return torch.ones_like(label, dtype=torch.bool)
