"""Paste the marked pixels of each image of a batch into the next image."""

from torch import Tensor


def mix(x: Tensor, mask: Tensor) -> Tensor:
    """Paste the marked pixels of each image into its successor in the batch.

    ``mixed[i]`` is ``x[i]`` where ``mask[i]`` is True, elsewhere ``x[(i + 1) % B]``.
    Call it with the same mask for image, label and confidence, so that they match.

    Args:
        x: Images or maps of any dtype, ``(B, H, W)`` or ``(B, C, H, W)``, B at least 2.
        mask: True where an image keeps its own pixel, bool ``(B, H, W)``.

    Returns:
        The mixed batch, same dtype and shape as ``x``.

    Raises:
        ValueError: If the shapes do not match, or the batch has fewer than two images.

    Example:
        >>> import torch
        >>> mix(torch.tensor([[[1, 1]], [[2, 2]]]), torch.tensor([[[True, False]]] * 2))
        tensor([[[1, 2]],
        <BLANKLINE>
                [[2, 1]]])

    Source:
        Olsson et al. 2021, Alg. 1; the pairing is that of the authors' trainSSL.py.
    """
    if x.ndim not in (3, 4) or mask.shape != (len(x), *x.shape[-2:]):
        raise ValueError(
            "x must be (B, H, W) or (B, C, H, W) and mask (B, H, W) of the same size,"
            f" got {tuple(x.shape)} and {tuple(mask.shape)}"
        )
    if len(x) < 2:
        raise ValueError(
            f"x must hold at least 2 images, got {len(x)};"
            " an image would be mixed with itself, so raise the unlabeled batch size"
        )
    return x.where(mask if x.ndim == 3 else mask[:, None], x.roll(-1, 0))
