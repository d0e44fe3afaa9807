"""Class weights of the loss on the labeled images."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from lightning_classmix.ops import VOID
from lightning_classmix.ops.ranges import check_ranges

ClassWeightsArgument: TypeAlias = Sequence[float] | Literal["balanced"] | None
"""A factor for each class, ``balanced`` to count them, or None for 1."""


class ClassWeights(nn.Module):
    """A factor on the loss of each pixel, by its class.

    Args:
        weights: A factor of at least 0 for each class; or ``balanced``, which `count`
            replaces by factors from the labels.
        num_classes: Number of classes, C.

    Raises:
        ValueError: If a factor is negative, or their number is not ``num_classes``.
    """

    weights: Tensor
    """Factor per class, float32 ``(C,)``; NaN before they are counted."""

    def __init__(
        self, weights: Sequence[float] | Literal["balanced"], num_classes: int
    ) -> None:
        super().__init__()
        if isinstance(weights, str):
            if weights != "balanced":
                raise ValueError(
                    "class_weights must be balanced or a number for each class, got"
                    f" {weights!r}"
                )
            values = [float("nan")] * num_classes
        else:
            values = list(weights)
            if len(values) != num_classes:
                raise ValueError(
                    f"class_weights must have {num_classes} values, one for each class,"
                    f" got {len(values)}"
                )
            check_ranges(class_weights=values)
        self.register_buffer("weights", torch.tensor(values, dtype=torch.float32))

    def count(self, dataset: Any) -> None:
        """Replace ``balanced`` by the factors of a labeled dataset.

        Args:
            dataset: Labeled dataset of known length whose items hold ``label``, int64
                ``(H, W)``, or are pairs of image and label.

        Raises:
            ValueError: If the length of the dataset is unknown.
        """
        if not self.weights.isnan().any():
            return
        if not hasattr(dataset, "__len__"):
            raise ValueError(
                "class_weights must be a number for each class, since balanced needs a"
                f" labeled dataset of known length, got {type(dataset).__name__}"
            )
        items = (dataset[index] for index in range(len(dataset)))
        labels = (i["label"] if isinstance(i, Mapping) else i[1] for i in items)
        weights = balanced_class_weights(labels, len(self.weights))
        self.weights.copy_(weights)

    def forward(self, label: Tensor) -> Tensor:
        """Return the factor of each pixel, float32 ``(B, H, W)``; void gets 0."""
        void = (label < 0) | (label >= len(self.weights))
        return self.weights[label.masked_fill(void, 0)].masked_fill(void, 0)


def balanced_class_weights(labels: Iterable[Tensor], num_classes: int) -> Tensor:
    """Return class weights inversely proportional to the square root of pixel counts.

    The mean weight of the labeled pixels is 1. A class without a pixel gets 0. The
    square root keeps the weights of very rare classes moderate.

    Args:
        labels: Class per pixel, int64 ``(H, W)``, void 255.
        num_classes: Number of classes, C.

    Returns:
        Factor per class, float32 ``(C,)``.

    Raises:
        ValueError: If no pixel has a class.

    Example:
        >>> balanced_class_weights([torch.tensor([[0, 0, 0, 0, 1, 255]])], 2)
        tensor([0.8333, 1.6667])
    """
    counts = torch.zeros(num_classes, dtype=torch.float64)
    for label in labels:
        classes = label[label != VOID].flatten()
        counts += torch.bincount(classes, minlength=num_classes).cpu()
    if not counts.any():
        raise ValueError("labels must have a pixel that is not void, got none")
    root = counts.sqrt()
    inverse = torch.where(counts > 0, 1 / root, 0)
    return (inverse * counts.sum() / root.sum()).float()
