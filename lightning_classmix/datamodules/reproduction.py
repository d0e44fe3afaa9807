"""Settings of the data modules that only serve to reproduce published results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataReproduction:
    """Details of published training code that we do not recommend.

    The modules have a group of the same purpose, `Reproduction`.

    Args:
        resize_labels: Resize labels of validation and test to ``size`` too, with the
            nearest pixel. Scores are then not those at the size of the files. Float
            tensors are used unchanged.
        mark_padding: Exclude pixels that the crop padded in unlabeled images from
            pseudo-labels, masks and loss. In labels they are void in any case.
    """

    resize_labels: bool = False
    mark_padding: bool = True
