"""Forms of ClassMix that were compared with the recipe on real images, and lost.

``candidates.yaml`` names them for ``classmix compare``, which must find this file on
``PYTHONPATH``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_classmix import ClassMix, batches, ops
from lightning_classmix.augment import StrongAugment
from lightning_classmix.modules.mixed import Mixed, PseudoLabel


class PasteLabeled(ClassMix):
    """Paste classes of labeled images into half of the unlabeled images.

    Half of the true classes, rounded up; their pixels count as labeled with certainty.
    """

    labeled: dict[str, Tensor]

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Keep the labeled images for `mix`."""
        self.labeled = batches.standard_batch(batch)["labeled"]
        return super().training_step(batch, batch_idx)

    def mix(self, image: Tensor, pseudo: PseudoLabel) -> Mixed:
        """Mix the second half of the batch as usual, the first with labeled images."""
        half = len(image) // 2
        mask = self.mixer(pseudo.label)
        label = self.labeled["label"]
        true = ops.classmix_mask(label, self.num_classes, rounding="ceil")[:half]
        certain = torch.ones_like(pseudo.confidence[:half])

        def paste(pasted: Tensor, x: Tensor, true: Tensor = true) -> Tensor:
            return torch.cat([pasted.where(true, x[:half]), ops.mix(x, mask)[half:]])

        mixed = paste(self.labeled["image"][:half], image, true[:, None])
        target = paste(label[:half], pseudo.label)
        confidence = paste(certain, pseudo.confidence)
        weight = self.weighting(confidence, valid=target != ops.VOID)
        mask = torch.cat([true, mask[half:]])
        return Mixed(self.augment(mixed), target, mask, confidence, weight)


class PerClass(ClassMix):
    """Train on the surer half of the pixels of each class of the pseudo-labels."""

    def mix(self, image: Tensor, pseudo: PseudoLabel) -> Mixed:
        """Give these pixels weight 1, and the others 0."""
        mixed = super().mix(image, pseudo)
        weight = torch.zeros_like(mixed.confidence)
        for index in range(self.num_classes):
            here = mixed.target == index
            if here.any():
                median = mixed.confidence[here].median()
                weight[here & (mixed.confidence >= median)] = 1
        return mixed._replace(weight=weight)


class PerClassPasteLabeled(PerClass, PasteLabeled):
    """Paste classes of labeled images, and train on the surer half of each class."""


class NoBlur(ClassMix):
    """Jitter the colors of mixed images, without blur."""

    def __init__(self, num_classes: int, **arguments: Any) -> None:
        super().__init__(num_classes, **arguments)
        self.augment = StrongAugment(self.mean, self.std, blur_share=0.0)


class NoBlurPasteLabeled(NoBlur, PasteLabeled):
    """Paste classes of labeled images, and do not blur."""


class FlippedTeacher(ClassMix):
    """Average the teacher's probabilities of an image and its mirror image."""

    def pseudo_label(self, unlabeled: dict[str, Tensor]) -> PseudoLabel:
        """Predict both in turn."""
        image = unlabeled["image"]
        with self.teacher.labeling():
            straight = self.teacher(image).softmax(1)
            mirrored = self.teacher(image.flip(3)).softmax(1).flip(3)
        probability = (straight + mirrored) / 2
        confidence, label = probability.max(1)
        label = label.where(batches.valid_pixels(unlabeled), ops.VOID)
        return PseudoLabel(probability.clamp_min(1e-8).log(), confidence, label)


class SoftTargets(ClassMix):
    """Train on the teacher's probabilities in place of its most probable class."""

    def mixed_loss(self, logits: Tensor, mixed: Mixed, pseudo: PseudoLabel) -> Tensor:
        """Return the cross-entropy with the mixed probabilities."""
        probability = ops.mix(pseudo.logits.softmax(1), mixed.mask)
        loss = cross_entropy(logits, probability, reduction="none") * mixed.weight
        return loss[mixed.target != ops.VOID].mean()
