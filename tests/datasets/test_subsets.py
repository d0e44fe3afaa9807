from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lightning_classmix.datasets.image_files import Files, ImageFiles
from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.subsets import (
    choose_labeled,
    covering_order,
    divide_images,
    subset_size,
)


@given(
    arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 6))), st.integers(0, 9)
)
def test_order_holds_every_image_once_and_covers_all_classes_first(
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


def test_seed_decides_the_order_of_images_with_the_same_classes() -> None:
    present = np.ones((20, 3), dtype=bool)
    assert covering_order(present, seed=0) == covering_order(present, seed=0)
    assert covering_order(present, seed=0) != covering_order(present, seed=1)


@given(
    arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 4))),
    st.integers(0, 9),
    st.data(),
)
def test_smaller_subsets_are_part_of_larger_subsets_and_cover_all_classes(
    present: NDArray[np.bool_], seed: int, data: st.DataObject
) -> None:
    available = len(present)
    amounts = st.one_of(st.integers(1, available), st.floats(0.01, 1))
    drawn = [data.draw(amounts) for _ in range(2)]
    small, large = sorted(subset_size(amount, available) for amount in drawn)
    order = covering_order(present, seed=seed)
    assert {*order[:small]} <= {*order[:large]}
    if small >= present.shape[1]:
        assert (present[order[:small]].any(0) == present.any(0)).all()


@pytest.mark.parametrize(
    ("labeled", "size"),
    [(None, 40), (1, 1), (40, 40), (1.0, 40), (0.125, 5), (0.0001, 1), (0.99, 40)],
)
def test_labeled_is_a_number_a_share_or_none_for_all(
    labeled: int | float | None, size: int
) -> None:
    assert subset_size(labeled, 40) == size


@pytest.mark.parametrize("labeled", [0, -1, 41, 0.0, -0.5, 1.5, float("nan")])
def test_labeled_out_of_range_is_an_error(labeled: int | float) -> None:
    bounds = r"\[1, 40\]" if isinstance(labeled, int) else r"a share in \(0, 1\]"
    with pytest.raises(ValueError, match=f"labeled must be (in )?{bounds}.* {labeled}"):
        subset_size(labeled, 40)


@given(
    arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 6))),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(1, 12), st.floats(0.01, 1)),
)
def test_chosen_images_are_the_first_of_the_covering_order(
    present: NDArray[np.bool_], seed: int, labeled: int | float | None
) -> None:
    if isinstance(labeled, int) and labeled > len(present):
        with pytest.raises(ValueError, match="labeled must be in"):
            choose_labeled(present, labeled, seed=seed)
        return
    chosen = choose_labeled(present, labeled, seed=seed)
    assert len(chosen) == subset_size(labeled, len(present))
    assert chosen == covering_order(present, seed=seed)[: len(chosen)]


def slow_order(present: NDArray[np.bool_], seed: int) -> list[int]:
    """Return the covering order by sets of classes."""
    rest: list[int] = [*np.random.default_rng(seed).permutation(len(present))]
    classes = [{*np.flatnonzero(row).tolist()} for row in present]
    covered: set[int] = set()
    order = []
    while any(classes[index] - covered for index in rest):
        best = max(rest, key=lambda index: len(classes[index] - covered))
        rest.remove(best)
        order.append(best)
        covered |= classes[best]
    return order + rest


@given(
    arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 6))), st.integers(0, 9)
)
def test_the_order_is_that_of_the_slow_loop(
    present: NDArray[np.bool_], seed: int
) -> None:
    assert covering_order(present, seed=seed) == slow_order(present, seed)


def pool(count: int, folder: str = "l") -> ImageFiles:
    images = [f"/d/{folder}/{index}.png" for index in range(count)]
    labels = [f"/d/labels/{index}.png" for index in range(count)]
    return ImageFiles(images, labels, channels=1, root=Path("/d"))


def test_images_that_lose_their_labels_come_before_the_unlabeled_ones() -> None:
    more = ImageFiles(["/d/u/0.png", "/d/u/1.png"], channels=1, root=Path("/d"))
    label_map = LabelMap({0: 0})
    files = Files(pool(4), unlabeled=more)
    labeled, unlabeled = divide_images(files, [2, 0], label_map, Path("/d"))
    assert unlabeled is not None
    assert labeled.names() == ["l/2", "l/0"]
    assert labeled.label_map is label_map
    assert labeled.labels is not None
    assert [path.name for path in labeled.labels] == ["2.png", "0.png"]
    assert unlabeled.names() == ["l/1", "l/3", "u/0", "u/1"]
    assert (unlabeled.labels, unlabeled.channels) == (None, 1)
    assert unlabeled.root == Path("/d")


@pytest.mark.parametrize(("kept", "left"), [(5, 0), (4, 1), (3, 2)])
def test_a_single_unlabeled_image_is_left_out_with_a_warning(
    kept: int, left: int
) -> None:
    def divide() -> list[str]:
        files = Files(pool(5))
        _, rest = divide_images(files, range(kept), LabelMap({0: 0}), Path("/d"))
        return [] if rest is None else rest.names()

    if left == 1:
        with pytest.warns(UserWarning, match=r"^/d/l/4\.png is left out: a single"):
            assert divide() == []
    else:
        assert divide() == ["l/3", "l/4"][2 - left :]
