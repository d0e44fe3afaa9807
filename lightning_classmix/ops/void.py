"""What is not to be learned from: one value for it, in every label map."""

from torch import Tensor

VOID = 255
"""Class index of void pixels in every batch, whatever the files call it."""


def void_invalid_labels(
    label: Tensor, num_classes: int, *, ignore_index: int = VOID, void: int = VOID
) -> Tensor:
    """Write ``void`` wherever a label map holds no class.

    Values outside ``[0, C)`` become void as ``ignore_index`` does, so that no later
    gather or loss can run out of bounds on the device.

    Args:
        label: Class per pixel, int64 ``(B, H, W)``, any value.
        num_classes: Number of classes, C.
        ignore_index: Index of void pixels in ``label``.
        void: Value to write.

    Returns:
        Class per pixel or ``void``, int64 ``(B, H, W)``.

    Example:
        >>> import torch
        >>> void_invalid_labels(torch.tensor([[[0, 3, -1]]]), num_classes=2)
        tensor([[[  0, 255, 255]]])
    """
    inside = (label >= 0) & (label < num_classes) & (label != ignore_index)
    return label.where(inside, void)
