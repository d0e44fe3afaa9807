"""Derive seeds of random number generators from several numbers."""

import random


def derive_seed(*parts: int) -> int:
    """Derive one seed from several numbers, such as (base, rank, step).

    The same numbers give the same seed on any machine, and different numbers give
    unrelated seeds. Their sum would not: (0, 1) and (1, 0) have the same.

    Args:
        parts: Integers; their order matters.

    Returns:
        Seed for ``torch.Generator.manual_seed``, in [0, 2**63).

    Example:
        >>> derive_seed(0, 1) == derive_seed(1, 0)
        False
    """
    # Python hashes a string seed by SHA-512, the same in every version.
    return random.Random("/".join(map(str, parts))).getrandbits(63)
