"""Which images are labelled."""

import numpy as np
from numpy.typing import NDArray


def covering_order(present: NDArray[np.bool_], *, seed: int) -> list[int]:
    """Order images so that the first N, for any N, make a good labelled subset.

    First comes a greedy cover: the image that adds most classes not seen yet, until
    no class is left that any image holds. The rest follows at random. Subsets of one
    order are nested, and cover every class as soon as the count allows.

    Args:
        present: Whether image i holds class c, bool ``(N, C)``.
        seed: Decides the ties and the rest of the order.

    Returns:
        All N indices, each once.

    Example:
        >>> covering_order(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], bool), seed=0)
        [1, 2, 0]
    """
    rest = list(np.random.default_rng(seed).permutation(len(present)))
    seen = np.zeros(present.shape[1], dtype=bool)
    order = []
    while rest:
        gains = (present[rest] & ~seen).sum(axis=1)
        if not gains.max():
            break
        order.append(rest.pop(int(gains.argmax())))
        seen |= present[order[-1]]
    return [int(index) for index in order + rest]


def subset_size(labeled: int | float | None, available: int) -> int:
    """Return how many images keep their labels.

    Args:
        labeled: A count, at least 1; a share in (0, 1], of which at least one image
            remains; None for all.
        available: Number of images that have labels.

    Raises:
        ValueError: If there are not that many.

    Example:
        >>> subset_size(46, 367), subset_size(0.125, 367), subset_size(None, 367)
        (46, 46, 367)
    """
    if labeled is None:
        return available
    if isinstance(labeled, float):
        if not 0 < labeled <= 1:
            raise ValueError(f"labeled must be a share in (0, 1], got {labeled}")
        return max(1, round(labeled * available))
    if not 1 <= labeled <= available:
        raise ValueError(
            f"labeled must be in [1, {available}], the labelled images that there are,"
            f" got {labeled}"
        )
    return labeled
