"""Apply a function to many items in parallel threads."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_only
from tqdm.contrib.concurrent import thread_map

_Result = TypeVar("_Result")


def parallel_map(
    task: Callable[[int], _Result], items: Sequence[int], title: str
) -> list[_Result]:
    """Apply ``task`` to all items in threads; show a progress bar after two seconds.

    Args:
        task: Function of one item.
        items: Items, usually indices of files.
        title: Text next to the progress bar.

    Returns:
        Results in the order of the items.
    """
    results: list[_Result] = thread_map(
        task,
        items,
        desc=title,
        delay=2,
        leave=False,
        disable=getattr(rank_zero_only, "rank", 0) != 0,
    )
    return results
