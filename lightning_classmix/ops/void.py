"""The ignore label, 255."""

from torch import Tensor

VOID = 255
"""Label value of void pixels in every batch, whatever value the files use."""


def void_invalid_labels(
    label: Tensor, num_classes: int, *, ignore_index: int = VOID, void: int = VOID
) -> Tensor:
    """Replace every label that is not a class by ``void``.

    Values outside ``[0, C)`` and ``ignore_index`` are replaced, so that no later gather
    or loss reads out of bounds on the device.

    Args:
        label: Class per pixel, int64 ``(B, H, W)``, any value.
        num_classes: Number of classes, C.
        ignore_index: Label value of void pixels in ``label``.
        void: Label value of void pixels in the result.

    Returns:
        Class per pixel or ``void``, int64 ``(B, H, W)``.

    Example:
        >>> import torch
        >>> void_invalid_labels(torch.tensor([[[0, 3, -1]]]), num_classes=2)
        tensor([[[  0, 255, 255]]])
    """
    inside = (label >= 0) & (label < num_classes) & (label != ignore_index)
    return label.where(inside, void)
