"""DPT over vision transformers whose patch size is not a power of two."""

from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.decoders.dpt.decoder import ReassembleBlock
from torch import nn


class AnyPatchDPT(smp.DPT):  # type: ignore[misc] # untyped
    """DPT that scales the features of its stages by 4, 2, 1 and 1/2.

    DPT of segmentation-models-pytorch derives the scales from the patch size, which
    must be a power of two. Here the logits have a resolution of 16 pixels per patch,
    whatever its size; `SegmentationNetwork` resizes them to the image.

    Args:
        options: Arguments of ``segmentation_models_pytorch.DPT``.

    Source:
        Ranftl et al. 2021 (arXiv 2103.13413), section 3; the scales for patches of 14
        pixels are those of DINOv2 (Oquab et al. 2023, arXiv 2304.07193).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.decoder.reassemble_blocks = nn.ModuleList(
            ReassembleBlock(
                in_channels=block.project_to_out_channel.in_channels,
                mid_channels=block.project_to_out_channel.out_channels,
                out_channels=block.project_to_feature_dim.out_channels,
                upsample_factor=4 / 2**stage,
            )
            for stage, block in enumerate(self.decoder.reassemble_blocks)
        )
        self.initialize()
