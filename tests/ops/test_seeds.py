import random
from itertools import pairwise, product

import pytest
import torch

from lightning_classmix import ops


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((0,), 743_992_086_450_650_949),
        ((0, 1), 5_337_895_739_374_401_191),
        ((42, 0, 1000), 9_127_687_538_428_905_239),
    ],
)
def test_derive_seed_is_the_same_on_every_machine(
    parts: tuple[int, ...], seed: int
) -> None:
    assert ops.derive_seed(*parts) == seed


def test_derive_seed_depends_on_the_order_and_the_grouping_of_digits() -> None:
    parts = [(1, 23), (12, 3), (23, 1), (123,), (1, 2, 3), (1, -23), (1, 23, 0)]
    assert len({ops.derive_seed(*each) for each in parts}) == len(parts)


def test_derive_seed_never_repeats_over_many_ranks_and_steps() -> None:
    seeds = {ops.derive_seed(*parts) for parts in product(range(8), range(500))}
    assert len(seeds) == 8 * 500


def test_derive_seed_fits_a_generator() -> None:
    for step in range(100):
        seed = ops.derive_seed(0, step)
        assert 0 <= seed < 2**63
        assert torch.Generator().manual_seed(seed).initial_seed() == seed


def test_derive_seed_gives_unrelated_seeds_for_neighboring_numbers() -> None:
    seeds = [ops.derive_seed(0, step) for step in range(500)]
    changed = [(seed ^ following).bit_count() for seed, following in pairwise(seeds)]
    assert sum(changed) / len(changed) == pytest.approx(31.5, abs=1)  # of 63 bits


def test_derive_seed_does_not_use_the_global_generator() -> None:
    before = random.getstate()
    ops.derive_seed(1, 2)
    assert random.getstate() == before
