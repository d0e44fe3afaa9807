"""Seeds that depend on nothing but what they are for."""

import random


def derive_seed(*parts: int) -> int:
    """Derive one seed from several numbers, say (base, rank, step).

    The same numbers give the same seed on any machine; neighboring numbers give
    unrelated seeds, which adding them up would not.

    Args:
        parts: Any integers, in an order that means something.

    Returns:
        A seed in [0, 2**63), fit for ``torch.Generator.manual_seed``.

    Example:
        >>> derive_seed(0, 1) == derive_seed(1, 0)
        False
    """
    # A string seed is hashed by SHA-512, in a way that Python promises to keep.
    return random.Random("/".join(map(str, parts))).getrandbits(63)
