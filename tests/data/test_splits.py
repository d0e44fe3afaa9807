import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lightning_classmix.data.splits import covering_order


@given(
    arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 6))), st.integers(0, 9)
)
def test_order_holds_every_image_once_and_covers_greedily(
    present: NDArray[np.bool_], seed: int
) -> None:
    order = covering_order(present, seed=seed)
    assert sorted(order) == list(range(len(present)))
    # As many images as there are classes suffice, if any do.
    few = present[order[: present.shape[1]]].any(axis=0)
    assert (few == present.any(axis=0)).all()


def test_the_first_image_adds_most_classes() -> None:
    present = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]], dtype=bool)
    assert set(covering_order(present, seed=0)[:2]) == {1, 2}


def test_seed_decides_what_the_classes_leave_open() -> None:
    present = np.ones((20, 3), dtype=bool)
    assert covering_order(present, seed=0) == covering_order(present, seed=0)
    assert covering_order(present, seed=0) != covering_order(present, seed=1)
