"""Read the first files of a dataset before training, and report faults."""

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.image_io import raise_faults
from lightning_classmix.datasets.label_map import count_values
from lightning_classmix.datasets.parallel import parallel_map
from lightning_classmix.ops import VOID

CHECKED_UNLABELED = 100
"""Number of unlabeled images that are read completely before the first step."""
CHECKED = 1000
"""Number of labeled images of a set that are read completely before the first step."""


def check_first_files(files: ImageFiles) -> None:
    """Read the first images as training does: all of a small set, some of a large one.

    Warn if labels contain nothing but class 0 and void.

    Raises:
        ValueError: If an image cannot be read, differs in size from its label, or has a
            raw value without a class; all such files are named.
    """

    def check(index: int) -> tuple[str | None, bool]:
        try:
            label = files[index].get("label")
        except (ValueError, OSError) as error:
            return str(error), False
        values = () if label is None else count_values(label)[0].tolist()
        return None, values == [0, VOID]

    count = CHECKED_UNLABELED if files.labels is None else CHECKED
    results = parallel_map(check, range(min(len(files), count)), "Checking images")
    raise_faults(fault for fault, _ in results if fault)
    background_only = [index for index, (_, alone) in enumerate(results) if alone]
    ambiguous = files.label_map is not None and files.label_map.may_hide_a_class
    if background_only and ambiguous and files.labels is not None:
        rank_zero_warn(
            background_only_warning(
                len(background_only), files.labels[background_only[0]]
            )
        )


def background_only_warning(count: int, example: Path) -> str:
    """Return the warning of labels that contain nothing but class 0 and void.

    Args:
        count: Number of such labels.
        example: File of one of them.
    """
    return (
        f"{count} label{'s' * (count > 1)} with nothing but class 0 and void, such as"
        f" {example}: if 255 is a class there, correct the files or give label_map"
    )
