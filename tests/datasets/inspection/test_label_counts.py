from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.inspection.label_counts import (
    count_labels,
    stack_counts,
)
from lightning_classmix.datasets.labels.label_map import count_values
from lightning_classmix.datasets.labels.label_reading import RawLabel
from lightning_classmix.datasets.labels.raw_values import color_value
from tests.images import save_files


def test_pixels_of_each_value_are_counted_in_each_file(tmp_path: Path) -> None:
    files = save_files(tmp_path)
    labels = [tmp_path / f"labels/{index}.png" for index in range(3)]
    Image.fromarray(np.array([[9, 9, 0]], np.uint8)).save(labels[0])
    Image.fromarray(np.array([[300, 9]], np.uint16)).save(labels[1])
    Image.fromarray(np.array([[[1, 2, 3]] * 2], np.uint8)).save(labels[2])
    found = count_labels(files)
    assert found.values.tolist() == [0, 9, 300, color_value(1, 2, 3)]
    assert found.counts.tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 2]]
    assert not found.faults


def test_an_unreadable_label_is_a_fault_and_no_image_is_read(
    tmp_path: Path,
) -> None:
    files = save_files(tmp_path)
    (tmp_path / "labels/2.png").unlink()
    (tmp_path / "labels/0.png").write_bytes(b"")
    (tmp_path / "images/1.png").unlink()
    found = count_labels(files)
    assert found.counts.sum(axis=1).tolist() == [0, 24 * 32, 0]
    assert len(found.faults) == 2
    message = " ".join(found.faults)
    assert "labels/0.png" in message
    assert "labels/2.png" in message


def test_counts_of_no_files_are_empty(tmp_path: Path) -> None:
    found = count_labels(ImageFiles([], [], root=tmp_path))
    assert (found.values.shape, found.counts.shape) == ((0,), (0, 0))


@given(st.lists(arrays(np.uint8, st.integers(0, 9)), max_size=5))
def test_stacked_counts_equal_the_counts_of_each_label(
    labels: list[NDArray[np.uint8]],
) -> None:
    found = stack_counts([count_values(RawLabel(label)) for label in labels])
    for row, label in zip(found.counts, labels, strict=True):
        for value, count in zip(found.values, row, strict=True):
            assert count == (label == value).sum()
    assert found.counts.sum() == sum(map(len, labels))
