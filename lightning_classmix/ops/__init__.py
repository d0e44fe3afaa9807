"""Pure tensor functions: the mathematics of ClassMix, without state.

Batched, without host synchronization, in one graph under ``torch.compile``.
"""

from lightning_classmix.ops.ema import ema_decay, ema_update_
from lightning_classmix.ops.losses import cross_entropy, mean_squared_error
from lightning_classmix.ops.masks import classmix_mask, cowmix_mask, cutmix_mask
from lightning_classmix.ops.mixing import mix
from lightning_classmix.ops.pseudo_labels import (
    PixelWeighting,
    confident_share,
    pixel_weight,
    pseudo_label,
)
from lightning_classmix.ops.schedules import poly, sigmoid_ramp
from lightning_classmix.ops.seeds import derive_seed
from lightning_classmix.ops.void import VOID, void_invalid_labels
from lightning_classmix.ops.windows import (
    flip_average,
    padded,
    sliding_window,
    window_starts,
)

__all__ = [
    "VOID",
    "PixelWeighting",
    "classmix_mask",
    "confident_share",
    "cowmix_mask",
    "cross_entropy",
    "cutmix_mask",
    "derive_seed",
    "ema_decay",
    "ema_update_",
    "flip_average",
    "mean_squared_error",
    "mix",
    "padded",
    "pixel_weight",
    "poly",
    "pseudo_label",
    "sigmoid_ramp",
    "sliding_window",
    "void_invalid_labels",
    "window_starts",
]
