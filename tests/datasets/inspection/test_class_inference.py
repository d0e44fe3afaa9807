from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix.datasets.image_files import ImageFiles
from lightning_classmix.datasets.inspection.class_inference import LabelValues
from lightning_classmix.datasets.inspection.label_counts import count_labels


def valued(root: Path, *labels: list[int], **options: Any) -> LabelValues:
    """Write labels of one row each and read their values."""
    paths = []
    for index, values in enumerate(labels):
        paths.append(root / f"{index}.png")
        wide = max(values) > 255
        row = np.array([values], np.uint16 if wide else np.uint8)
        Image.fromarray(row).save(paths[-1])
    return from_files(root, paths, **options)


def from_files(root: Path, paths: list[Path], **options: Any) -> LabelValues:
    files = ImageFiles(paths, paths, root=root)
    return LabelValues([(files, count_labels(files))], remedy="here", **options)


def save_colors(path: Path, *colors: tuple[int, int, int]) -> Path:
    Image.fromarray(np.array([colors], np.uint8)).save(path)
    return path


def test_masks_of_0_and_255_are_two_classes(tmp_path: Path) -> None:
    assert valued(tmp_path, [0, 255], [255, 255], [0, 0]).binary


def test_one_wrong_mask_of_ten_does_not_change_that(tmp_path: Path) -> None:
    masks = [[0, 255]] * 9
    assert valued(tmp_path, *masks, [0, 255, 3]).binary
    assert valued(tmp_path, *masks, [0, 1]).binary


def test_masks_that_hold_other_values_are_of_classes_and_void(tmp_path: Path) -> None:
    assert not valued(tmp_path, [0, 1, 255], [0, 1, 255], [0, 255]).binary
    assert not valued(tmp_path, [0, 255], [0, 1]).binary  # as many of each
    assert not valued(tmp_path, [0, 0], [0, 0]).binary
    assert not valued(tmp_path).binary


def test_files_that_are_black_alone_do_not_tell(tmp_path: Path) -> None:
    assert valued(tmp_path, *[[0, 0]] * 9, [0, 255]).binary


def test_gray_colors_count_as_their_gray(tmp_path: Path) -> None:
    gray = save_colors(tmp_path / "a.png", (0, 0, 0), (255, 255, 255))
    assert from_files(tmp_path, [gray]).binary
    classes = save_colors(tmp_path / "b.png", (0, 0, 0), (1, 1, 1), (2, 2, 2))
    assert from_files(tmp_path, [classes]).count_classes() == 3


def test_classes_are_the_largest_value_and_one_without_void(tmp_path: Path) -> None:
    assert valued(tmp_path, [0, 1], [1, 255]).count_classes() == 2
    assert valued(tmp_path, [0, 1], [2, 2]).count_classes() == 3


def test_parts_are_counted_together(tmp_path: Path) -> None:
    for name, values in (("a", [0, 1]), ("b", [2, 2])):
        Image.fromarray(np.array([values], np.uint8)).save(tmp_path / f"{name}.png")
    parts = [
        ImageFiles([tmp_path / f"{n}.png"], [tmp_path / f"{n}.png"], root=tmp_path)
        for n in "ab"
    ]
    counted = [(files, count_labels(files)) for files in parts]
    assert LabelValues(counted, remedy="here").count_classes() == 3


def test_it_warns_of_classes_that_no_label_holds(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning,
        match=r"by 5 in .*1\.png \(1 pixel in 1 of 2 labels\), but no label holds 2,"
        " 3, 4; give num_classes if that is wrong",
    ):
        assert valued(tmp_path, [0, 1], [1, 5]).count_classes() == 6


@pytest.mark.parametrize(("value", "count"), [(200, 10), (4, 2000)])
def test_a_stray_value_is_likely_a_mistake(
    tmp_path: Path, value: int, count: int
) -> None:
    labels = [[0, 1, 2] * count, [0, value, 2]]
    with pytest.warns(
        UserWarning,
        match=rf"num_classes is {value + 1}, by {value} in .*1\.png \(1 pixel in 1 of 2"
        r" labels\), but no label holds 3.*; that is likely a mistake: correct the"
        r" file, or give num_classes, here",
    ):
        assert valued(tmp_path, *labels).count_classes() == value + 1


def test_at_most_ten_absent_classes_are_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"holds 1, 2, 3, 4, 5, 6, 7, 8, 9, 10; "):
        valued(tmp_path, [0, 40]).count_classes()


@pytest.mark.parametrize("black", [(0, 0, 0), (0, 0, 9)])
def test_colors_without_a_table_are_named_with_a_file(
    tmp_path: Path, black: tuple[int, int, int]
) -> None:
    one = save_colors(tmp_path / "one.png", black, black)
    two = save_colors(tmp_path / "two.png", black, (255, 0, 0))
    values = from_files(tmp_path, [one, two])
    with pytest.raises(
        ValueError,
        match=r"colors in labels must be mapped to classes, got"
        r" #(000009 in .*one|ff0000 in .*two)\.png;"
        " give palette or label_map, here",
    ):
        values.count_classes()


def test_values_above_255_are_named_with_a_file(tmp_path: Path) -> None:
    values = valued(tmp_path, [0, 1], [0, 1, 1000])
    with pytest.raises(
        ValueError, match=r"in \[0, 254\] .* got 1000 in .*1\.png; give label_map"
    ):
        values.count_classes()


@pytest.mark.parametrize("label", [[0, 0], [0, 255], [255, 255]])
def test_one_class_is_too_few(tmp_path: Path, label: list[int]) -> None:
    found = ", ".join(map(str, sorted({*label})))
    with pytest.raises(
        ValueError, match=rf"2 classes, got the values \[{found}\], where 255 is void"
    ):
        valued(tmp_path, label).count_classes()


def test_no_label_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 classes, got no label; give"):
        valued(tmp_path).count_classes()


def test_faults_are_reported_if_they_leave_too_few_values(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a label must have .*\n.*got .*broken\.png"):
        from_files(
            tmp_path, [tmp_path / "broken.png"], faults=["a label must have an image"]
        ).count_classes()


def test_a_broken_label_among_others_is_not_counted(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    values = from_files(tmp_path, [tmp_path / "b.png", tmp_path / "a.png"])
    assert values.count_classes() == 2
    assert values.faults == [
        f"an image must be readable, got an empty {tmp_path}/b.png"
    ]
