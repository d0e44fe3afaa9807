from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets import file_checks
from lightning_classmix.datasets.file_checks import (
    check_first,
    gather,
    parallel_map,
    read_facts,
)
from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.label_map import LabelMap, color_value, count_values
from tests.images import save_pair


def saved(root: Path, count: int = 3) -> ImageFiles:
    images = [root / f"images/{index}.png" for index in range(count)]
    labels = [root / f"labels/{index}.png" for index in range(count)]
    for seed, (image, label) in enumerate(zip(images, labels, strict=True)):
        save_pair(image, label, seed=seed)
    classes = LabelMap({value: value for value in range(3)})
    return ImageFiles(images, labels, label_map=classes, root=root)


def test_facts_are_the_values_of_every_file_and_their_pixels(tmp_path: Path) -> None:
    files = saved(tmp_path)
    labels = [tmp_path / f"labels/{index}.png" for index in range(3)]
    Image.fromarray(np.array([[9, 9, 0]], np.uint8)).save(labels[0])
    Image.fromarray(np.array([[300, 9]], np.uint16)).save(labels[1])
    Image.fromarray(np.array([[[1, 2, 3]] * 2], np.uint8)).save(labels[2])
    facts = read_facts(files)
    assert facts.values.tolist() == [0, 9, 300, color_value(1, 2, 3)]
    assert facts.counts.tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 2]]
    assert not facts.faults


def test_a_broken_label_is_a_fault_with_no_values_and_no_image_is_read(
    tmp_path: Path,
) -> None:
    files = saved(tmp_path)
    (tmp_path / "labels/2.png").unlink()
    (tmp_path / "labels/0.png").write_bytes(b"")
    (tmp_path / "images/1.png").unlink()
    facts = read_facts(files)
    assert facts.counts.sum(axis=1).tolist() == [0, 24 * 32, 0]
    assert len(facts.faults) == 2
    told = " ".join(facts.faults)
    assert "labels/0.png" in told
    assert "labels/2.png" in told


def test_no_files_have_no_facts(tmp_path: Path) -> None:
    facts = read_facts(ImageFiles([], [], root=tmp_path))
    assert (facts.values.shape, facts.counts.shape) == ((0,), (0, 0))


@given(st.lists(arrays(np.uint8, st.integers(0, 9)), max_size=5))
def test_the_table_holds_what_was_counted(labels: list[NDArray[np.uint8]]) -> None:
    facts = gather([count_values(label) for label in labels])
    for row, label in zip(facts.counts, labels, strict=True):
        for value, count in zip(facts.values, row, strict=True):
            assert count == (label == value).sum()
    assert facts.counts.sum() == sum(map(len, labels))


def test_all_faults_of_the_first_files_are_told_in_order(tmp_path: Path) -> None:
    files = saved(tmp_path, 4)
    check_first(files)
    (tmp_path / "images/0.png").write_bytes(b"no image")
    Image.new("L", (3, 3)).save(tmp_path / "labels/1.png")
    Image.new("L", (32, 24), 7).save(tmp_path / "labels/2.png")
    (tmp_path / "labels/3.png").unlink()
    with pytest.raises(ValueError, match="must be readable") as error:
        check_first(files)
    told = str(error.value).splitlines()
    for line, part in zip(
        told, ("0.png", "one size", "got 7", "labels/3.png"), strict=True
    ):
        assert part in line


def test_files_beyond_the_first_are_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = saved(tmp_path)
    (tmp_path / "labels/2.png").unlink()
    monkeypatch.setattr(file_checks, "CHECKED", 2)
    check_first(files)
    monkeypatch.setattr(file_checks, "CHECKED", 3)
    with pytest.raises(ValueError, match=r"2\.png"):
        check_first(files)


def test_results_come_in_the_order_of_the_items() -> None:
    assert parallel_map(lambda index: index**2, range(50), "") == [
        index**2 for index in range(50)
    ]
