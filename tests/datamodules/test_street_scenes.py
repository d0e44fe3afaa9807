from typing import Any

import numpy as np
import pytest
from torch.utils.data import Subset

from lightning_classmix import StreetScenesDataModule


def made(**options: Any) -> StreetScenesDataModule:
    defaults: dict[str, Any] = {
        "labeled": 3,
        "unlabeled": 9,
        "val": 4,
        "test": 5,
        "size": (32, 48),
        "batch_size": 2,
    }
    data = StreetScenesDataModule(**defaults | options)
    data.setup("fit")
    return data


def numbers(source: Any) -> set[int]:
    assert isinstance(source, Subset)
    return set(source.indices)


@pytest.mark.parametrize("seed", range(4))
def test_labeled_scenes_show_every_class(seed: int) -> None:
    data = made(seed=seed)
    labels = [data.labeled[index][1] for index in range(len(data.labeled))]
    assert set(np.unique(labels)) == set(range(7))


def test_no_scene_is_both_labeled_and_unlabeled() -> None:
    data = made()
    assert data.unlabeled is not None
    labeled, unlabeled = numbers(data.labeled), numbers(data.unlabeled)
    assert (len(labeled), len(unlabeled)) == (3, 9)
    assert not labeled & unlabeled


def test_more_labels_keep_the_fewer() -> None:
    fewer, more = made(labeled=3, unlabeled=9), made(labeled=5, unlabeled=7)
    assert numbers(fewer.labeled) < numbers(more.labeled)


def test_validation_and_test_do_not_depend_on_the_counts() -> None:
    one, other = made(), made(labeled=2, unlabeled=4, val=2, test=2)
    assert one.val is not None
    assert other.val is not None
    assert np.array_equal(one.val[1][1], other.val[1][1])
    assert not np.array_equal(one.val[0][1], one.test[0][1])  # type: ignore[index]


def test_classes_have_names_and_colors() -> None:
    data = made(unlabeled=0)
    assert data.unlabeled is None
    assert (
        data.num_classes == len(data.class_names or ()) == len(data.palette or ()) == 7
    )
