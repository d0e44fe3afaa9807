"""Schedules: factors that depend on the optimizer step."""

import math


def poly(step: int, total: int, power: float = 0.9) -> float:
    """Return the learning rate factor ``(1 - step / total) ** power``.

    Args:
        step: Number of optimizer steps done; the factor is 0 from ``total`` on.
        total: Number of optimizer steps of the whole run, > 0.
        power: Exponent of the polynomial, > 0.

    Returns:
        Factor on the base learning rate, in [0, 1].

    Example:
        >>> [round(poly(step, 4), 3) for step in (0, 2, 4)]
        [1.0, 0.536, 0.0]

    Source:
        Chen et al. 2017 (arXiv 1606.00915), section 4.1; used by the authors.
    """
    return float(max(0.0, 1 - step / total) ** power)


def sigmoid_ramp(step: int, length: int) -> float:
    """Return the ramp-up factor ``exp(-5 * (1 - step / length) ** 2)``, at most 1.

    Args:
        step: Number of optimizer steps since the ramp's start; below 0 counts as 0.
        length: Number of steps until the factor is 1; 0 means 1 from the start.

    Returns:
        Factor on the loss, in (0, 1].

    Example:
        >>> [round(sigmoid_ramp(step, 10), 4) for step in (0, 5, 10)]
        [0.0067, 0.2865, 1.0]

    Source:
        Laine and Aila 2017 (arXiv 1610.02242), section 3; the authors' "sigmoid"
        weighting, with a length of 10,000.
    """
    step = max(step, 0)
    if step >= length:
        return 1.0
    return math.exp(-5 * (1 - step / length) ** 2)
