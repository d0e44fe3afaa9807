from pathlib import Path
from typing import Any

import pytest

from lightning_classmix import (
    CamVidDataModule,
    SemiSupervisedDataModule,
    StreetScenesDataModule,
)
from lightning_classmix.experiments.compare_data import (
    HELD_OUT,
    build_data,
    draw_lists,
    pool_arguments,
    split_data,
)
from tests import tiny
from tests.images import make_camvid


def scenes() -> StreetScenesDataModule:
    return StreetScenesDataModule(6, 44, 2, 0, size=(32, 48), batch_size=2)


def camvid(root: Path, **options: Any) -> CamVidDataModule:
    return CamVidDataModule(root, size=(24, 32), num_workers=0, **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_camvid(tmp_path_factory.mktemp("camvid"), train=50, val=2)


def build(data: SemiSupervisedDataModule) -> Any:
    return build_data(type(data), pool_arguments(data))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_held_out_images_are_in_no_list_of_a_seed(root: Path, tmp_path: Path) -> None:
    assert draw_lists(build(camvid(root)), [0, 1], tmp_path) == 10
    held_out = {*lines(tmp_path / "held_out.txt")}
    assert len(held_out) == HELD_OUT
    orders = [lines(tmp_path / f"seed_{seed}.txt") for seed in (0, 1)]
    for order in orders:
        assert {*order} == {f"{i:02d}" for i in range(50)} - held_out
    assert orders[0] != orders[1]


def test_the_seed_of_the_data_draws_the_held_out_images(
    root: Path, tmp_path: Path
) -> None:
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        draw_lists(build(camvid(root, seed=seed)), [0], tmp_path / name)
    held_out = [
        lines(tmp_path / f"{name}/held_out.txt") for name in ("first", "again", "other")
    ]
    assert held_out[0] == held_out[1]
    assert held_out[0] != held_out[2]


def test_files_are_labeled_unlabeled_or_held_out(root: Path, tmp_path: Path) -> None:
    data = build(camvid(root))
    draw_lists(data, [0], tmp_path)
    held_out: Any = split_data(data, tmp_path, labels=3, seed=0)
    assert {*data.labeled.names()} == {*lines(tmp_path / "seed_0.txt")[:3]}
    assert held_out.names() == lines(tmp_path / "held_out.txt")
    assert "label" in held_out[0]
    assert data.unlabeled.labels is None
    parts = [data.labeled.names(), data.unlabeled.names(), held_out.names()]
    assert sorted(path.rpartition("/")[2] for part in parts for path in part) == [
        f"{i:02d}" for i in range(50)
    ]


def test_a_smaller_label_count_is_part_of_a_larger_count(
    root: Path, tmp_path: Path
) -> None:
    labeled = []
    for count in (2, 5):
        data = build(camvid(root))
        draw_lists(data, [0], tmp_path)
        split_data(data, tmp_path, labels=count, seed=0)
        labeled.append({*data.labeled.names()})
    assert labeled[0] < labeled[1]


def test_scenes_are_labeled_unlabeled_or_held_out(tmp_path: Path) -> None:
    data = build(scenes())
    assert draw_lists(data, [0], tmp_path) == 10
    held_out: Any = split_data(data, tmp_path, labels=4, seed=0)
    parts = [data.labeled.indices, data.unlabeled.indices, held_out.indices]
    assert [len(part) for part in parts] == [4, 6, 40]
    assert sorted(index for part in parts for index in part) == list(range(50))


def test_all_labeled_images_are_also_the_unlabeled_images(tmp_path: Path) -> None:
    data = build(scenes())
    count = draw_lists(data, [0], tmp_path)
    split_data(data, tmp_path, labels=count, seed=0)
    assert data.unlabeled is data.labeled


def test_unlabeled_images_of_the_data_stay_unlabeled(
    root: Path, tmp_path: Path
) -> None:
    data = build(camvid(root))
    draw_lists(data, [0], tmp_path)
    data.unlabeled = data.val.take([0, 1])
    split_data(data, tmp_path, labels=10, seed=0)
    assert [path.parent.name for path in data.unlabeled.images] == ["val", "val"]


def test_too_few_training_images_are_refused(tmp_path: Path) -> None:
    data = camvid(make_camvid(tmp_path / "data", train=40, val=1))
    with pytest.raises(ValueError, match=r"more than 40 labeled .* got 40"):
        draw_lists(build(data), [0], tmp_path / "lists")


def test_lists_of_other_images_are_refused(root: Path, tmp_path: Path) -> None:
    draw_lists(build(camvid(root)), [0], tmp_path)
    with pytest.raises(ValueError, match=r"same training images.*held_out\.txt"):
        draw_lists(build(camvid(root, seed=1)), [0], tmp_path)


def test_a_split_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.split must be None.*got list\.txt"):
        pool_arguments(camvid(root, split="list.txt"))


def test_data_without_a_validation_set_are_refused() -> None:
    data = StreetScenesDataModule(6, 44, 0, 0, size=(32, 48))
    with pytest.raises(ValueError, match="data must have validation images"):
        build(data)


def test_a_data_module_that_cannot_label_all_images_is_refused() -> None:
    with pytest.raises(TypeError, match="got SemiSupervisedDataModule"):
        pool_arguments(tiny.data())
