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
