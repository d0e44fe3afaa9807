"""Bring batches into the form of the batch contract, and check them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_classmix import ops

Part: TypeAlias = Literal["labeled", "unlabeled", "validation", "test", "predict"]
"""A part of the data, by what it is used for."""

_KEYS: dict[Part, tuple[str, ...]] = {
    "labeled": ("image", "label"),
    "unlabeled": ("image",),
    "validation": ("image", "label"),
    "test": ("image", "label"),
    "predict": ("image", "name", "size"),
}
_OTHER_NAMES = {
    "image": ("pixel_values", "images", "img", "input", "x"),
    "label": ("mask", "masks", "annotation", "labels", "target", "y"),
}
"""Names that other libraries give to images and labels."""

_FORMS = {
    "label": "int64 (B, H, W)",
    "name": "list of str",
    "size": "int64 (B, 2)",
}


def standard_batch(batch: Any) -> Any:
    """Return a batch in the form of the batch contract, as far as it is known.

    ``(image, label)`` becomes ``{"image", "label"}``, and labels ``(B, 1, H, W)``
    become ``(B, H, W)``, in the batch itself or in its labeled and unlabeled parts.

    Example:
        >>> image, label = torch.zeros(2, 3, 4, 5), torch.zeros(2, 1, 4, 5).long()
        >>> describe(standard_batch((image, label)))
        "{'image': float32 (2, 3, 4, 5), 'label': int64 (2, 4, 5)}"
    """
    if isinstance(batch, Mapping) and {"labeled", "unlabeled"} & batch.keys():
        return {key: standard_batch(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        image, label = batch
        if isinstance(image, Tensor) and isinstance(label, Tensor):
            batch = {"image": image, "label": label}
    label = batch.get("label") if isinstance(batch, Mapping) else None
    if isinstance(label, Tensor) and label.ndim == 4 and label.shape[1] == 1:
        batch = {**batch, "label": label[:, 0]}
    return batch


def labeled_part(batch: Any) -> Any:
    """Return the labeled part of a batch, or the batch if it has no parts."""
    batch = standard_batch(batch)
    return batch.get("labeled", batch) if isinstance(batch, Mapping) else batch


def valid_pixels(unlabeled: Mapping[str, Tensor]) -> Tensor:
    """Return ``valid``, bool ``(B, H, W)``; all True if the batch has no such key."""
    image = unlabeled["image"]
    all_valid = torch.ones_like(image[:, 0], dtype=torch.bool)
    return unlabeled.get("valid", all_valid)


def describe(batch: Any) -> str:
    """Return the keys, dtypes and shapes of a batch or item, for error messages.

    Example:
        >>> describe((torch.zeros(1, 2), None))
        '(float32 (1, 2), None)'
    """
    if isinstance(batch, Mapping):
        parts = [f"{key!r}: {describe(value)}" for key, value in batch.items()]
        return "{" + ", ".join(parts) + "}"
    if isinstance(batch, (tuple, list)) and len(batch) <= 4:
        left, right = "()" if isinstance(batch, tuple) else "[]"
        return left + ", ".join(map(describe, batch)) + right
    shape = getattr(batch, "shape", None)
    if shape is not None and hasattr(batch, "dtype"):
        dtype = str(batch.dtype).removeprefix("torch.")
        return f"{dtype} {tuple(shape)}"
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return f"{type(batch).__name__} of {len(batch)}"
    return "None" if batch is None else type(batch).__name__


def check_part(
    batch: Any, part: Part, *, in_channels: int, dtype: torch.dtype = torch.float32
) -> None:
    """Check keys, shapes and dtypes of one part of a batch.

    Args:
        batch: The part, as `standard_batch` returns it.
        part: What the part is used for.
        in_channels: Number of image channels, C_in.
        dtype: Type of the network's weights. Images may have fewer bits.

    Raises:
        ValueError: If something differs; it says what the batch holds.
    """
    remedy = _remedy(batch, part, in_channels, dtype)
    if remedy is None:
        return
    forms = {**_FORMS, "image": f"float32 (B, {in_channels}, H, W)"}
    form = ", ".join(f"{key!r}: {forms[key]}" for key in _KEYS[part])
    raise ValueError(
        f"the {part} batch must be {{{form}}}, got {describe(batch)}; {remedy}"
    )


def _remedy(batch: Any, part: Part, in_channels: int, dtype: torch.dtype) -> str | None:
    """Return what to change in a batch; None if its form is right."""
    if batch is None:
        return (
            "a CombinedLoader in mode 'max_size' yields None for a loader that has"
            " ended: use 'max_size_cycle' or 'min_size'"
        )
    if not isinstance(batch, Mapping):
        return "return a dict from the dataset or the collate function"
    for key in _KEYS[part]:
        if key not in batch:
            return missing_key_remedy(batch, key)
    image = batch["image"]
    if not isinstance(image, Tensor) or image.ndim != 4:
        return "'image' must be a tensor of 4 dimensions; stack the images of a batch"
    if image.shape[1] != in_channels:
        return f"'image' must have the in_channels of the model, {in_channels}"
    if not image.is_floating_point():
        return "normalize 'image' to a float tensor"
    if image.dtype == torch.float64 != dtype:
        return "convert 'image' with .float()"
    valid = batch.get("valid") if part == "unlabeled" else None
    if isinstance(valid, Tensor) and (
        valid.dtype != torch.bool or valid.shape != image[:, 0].shape
    ):
        return "'valid' must be bool and have the size of its image"
    if "label" not in _KEYS[part]:
        return None
    label = batch["label"]
    if not isinstance(label, Tensor) or label.ndim != 3 or len(label) != len(image):
        return "'label' must hold the class per pixel, one label for each image"
    if label.dtype != torch.int64:
        return "convert 'label' with .long()"
    if part == "labeled" and label.shape[1:] != image.shape[2:]:
        return "'label' must have the size of its image"
    return None


def missing_key_remedy(batch: Mapping[str, Any], key: str) -> str:
    """Return what to do about a missing key of a batch or item.

    Example:
        >>> missing_key_remedy({"mask": 0}, "label").partition(",")[0]
        "rename 'mask' to 'label'"
    """
    other = next((name for name in _OTHER_NAMES.get(key, ()) if name in batch), "")
    rename = f"rename {other!r} to {key!r}" if other else f"add {key!r}"
    return f"{rename}, as under 'Batches of other libraries' in docs/python.md"


def check_both_parts(batch: Any) -> None:
    """Check that a batch has a labeled and an unlabeled part.

    Raises:
        ValueError: If one is missing; it says what the batch holds.
    """
    if isinstance(batch, Mapping) and {"labeled", "unlabeled"} <= batch.keys():
        return
    raise ValueError(
        "a training batch must be {'labeled': …, 'unlabeled': …}, got"
        f" {describe(batch)}; give the Trainer a CombinedLoader of both, or use"
        " Supervised for no unlabeled images"
    )


def check_mixable(count: int) -> None:
    """Check that a batch of ``count`` unlabeled images can be mixed.

    Raises:
        ValueError: If there is a single image.
    """
    if count < 2:
        raise ValueError(
            "the unlabeled batch must hold at least 2 images on each device, got"
            f" {count}; each is pasted into another image: raise the batch size,"
            " or leave out a shorter last batch with drop_last=True"
        )


def find_not_finite(batch: Any) -> dict[str, Tensor]:
    """Return which images of a batch hold NaN or infinity, by the name of the part.

    Returns:
        True for each such image, bool ``(B,)``, on the device of the images. Nothing
        waits for the device.
    """
    batch = standard_batch(batch)
    whole = isinstance(batch, Mapping) and "image" not in batch
    parts = batch if whole else {"labeled": batch}
    return {
        str(name): ~part["image"].isfinite().flatten(1).all(1)
        for name, part in parts.items()
        if isinstance(part, Mapping) and isinstance(part.get("image"), Tensor)
    }


def check_label(label: Tensor, num_classes: int, source: str) -> None:
    """Check that a label holds classes and void only.

    Args:
        label: Class per pixel, expected to be int64 in [0, C) or 255.
        num_classes: Number of classes, C.
        source: Description of the batch, for the error message.

    Raises:
        ValueError: If dtype or values are wrong.
    """
    if label.dtype != torch.int64:
        raise ValueError(f"label must be int64, got {label.dtype} in {source}")
    wrong = label != ops.void_invalid_labels(label, num_classes)
    if wrong.any():
        values = torch.unique(label[wrong]).tolist()
        raise ValueError(
            f"label must be in [0, {num_classes}) or {ops.VOID} (void), got"
            f" {values[:10]} in {source}"
        )
