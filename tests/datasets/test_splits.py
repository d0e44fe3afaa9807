import io
import os
from pathlib import Path

import pytest

from lightning_classmix.datasets.splits import (
    SPLIT_FILE,
    check_resumed_split,
    named_splits,
    published_split,
    read_split,
    training_names,
    write_split,
)

SHARED = Path(__file__).parents[3] / "shared" / "splits"
original = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no lists in {SHARED}")
NAMES = ["a/x", "a/y", "b/x", "b/z", "c d/photo", "c d/photo (2)", "c d/photo 3.old"]


@pytest.mark.parametrize(
    ("dataset", "count", "counts"),
    [
        (
            "cityscapes",
            2975,
            {"1_2": 1488, "1_4": 744, "1_8": 372, "1_16": 186, "1_30": 100},
        ),
        (
            "pascal_voc",
            10582,
            {
                "92": 92,
                "183": 183,
                "366": 366,
                "732": 732,
                "1464": 1464,
                "1_16": 662,
                "1_8": 1323,
                "1_4": 2646,
            },
        ),
    ],
)
def test_named_splits_hold_as_many_images_as_they_say(
    dataset: str, count: int, counts: dict[str, int]
) -> None:
    names = training_names(dataset)
    splits = {name: published_split(dataset, name) for name in named_splits(dataset)}
    assert names == sorted({*names})
    assert len(names) == count
    unimatch = {f"unimatch/{name}": size for name, size in counts.items()}
    permutations = {name for name in splits if name.startswith("olsson2021/")}
    assert {*splits} == {*unimatch} | permutations
    for name, size in unimatch.items():
        assert len({*splits[name]}) == len(splits[name]) == size
        assert {*splits[name]} <= {*names}
    assert len(permutations) == (3 if dataset == "cityscapes" else 1)
    for name in permutations:
        assert sorted(splits[name]) == names


def original_lines(name: str) -> list[str]:
    return (SHARED / f"{name}.txt").read_text().split("\n")


@original
@pytest.mark.parametrize(
    ("dataset", "lists"), [("cityscapes", "cityscapes"), ("pascal_voc", "pascal")]
)
def test_unimatch_lists_equal_those_of_their_authors(dataset: str, lists: str) -> None:
    names = training_names(dataset)
    for name in named_splits(dataset):
        split = published_split(dataset, name)
        source, _, part = name.partition("/")
        if source == "unimatch":
            file = SHARED / f"labeled/{lists}_{part}.txt"
            images = [line.split()[0] for line in file.read_text().splitlines()]
            stems = [Path(image).stem.removesuffix("_leftImg8bit") for image in images]
            assert split == stems
            # The file itself, as it is, is understood likewise.
            assert [names[index] for index in read_split(str(file), names)] == stems


@original
@pytest.mark.parametrize(
    ("dataset", "listed", "lists"),
    [
        ("cityscapes", "cityscapes_train", "olsson2021_cityscapes"),
        ("pascal_voc", "voc_train_aug", "olsson2021_voc_aug"),
    ],
)
def test_olsson_lists_equal_those_of_their_authors(
    dataset: str, listed: str, lists: str
) -> None:
    names = [*filter(None, original_lines(listed))]
    assert sorted(names) == training_names(dataset)
    for name in named_splits(dataset):
        split = published_split(dataset, name)
        source, _, part = name.partition("/")
        if source == "olsson2021":
            places = filter(None, original_lines(f"{lists}_{part}"))
            assert split == [sorted(names)[int(place)] for place in places]


def chosen(tmp_path: Path, *lines: str, names: list[str] = NAMES) -> list[str]:
    path = tmp_path / "split.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [names[index] for index in read_split(str(path), names)]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("b/x", "b/x"),
        ("b/x.png", "b/x"),
        ("images/b/x.JPG", "b/x"),
        ("/data/images/b/x.jpg", "b/x"),
        ("y", "a/y"),
        ("y.png", "a/y"),
        ("elsewhere/y.png", "a/y"),
        ("images/b/x.jpg labels/b/x.png", "b/x"),
        ("images/b/z.jpg\tlabels/b/z.png", "b/z"),
        ("images/b/z.jpg,labels/b/y.png", "b/z"),
        ("images/b/z.jpg , labels/b/y.png", "b/z"),
        ("z labels/z.png", "b/z"),
        ("y labels/other.png", "a/y"),
        ("  y  ", "a/y"),
        ("c d/photo", "c d/photo"),
        ("c d/photo (2)", "c d/photo (2)"),
        ("photo (2).png", "c d/photo (2)"),
        ("c d/photo (2).png,c d/photo.png", "c d/photo (2)"),
        ("images/c d/photo.jpg labels/c d/photo.png", "c d/photo"),
        ("photo 3.old", "c d/photo 3.old"),
        ("photo 3.old.tif", "c d/photo 3.old"),
    ],
)
def test_a_line_may_name_an_image_in_many_forms(
    tmp_path: Path, line: str, name: str
) -> None:
    assert chosen(tmp_path, line) == [name]


def test_cityscapes_images_are_named_with_or_without_their_ending(
    tmp_path: Path,
) -> None:
    names = ["ulm/ulm_1_leftImg8bit", "ulm/ulm_2_leftImg8bit"]
    pair = "leftImg8bit/train/ulm/{0}_leftImg8bit.png gtFine/train/ulm/{0}_gtFine.png"
    for line in ("ulm_2", "ulm/ulm_2", "ulm_2_leftImg8bit.png", pair.format("ulm_2")):
        assert chosen(tmp_path, line, names=names) == names[1:]


def test_order_of_the_list_is_kept_and_comments_are_ignored(tmp_path: Path) -> None:
    lines = ("\ufeff# three images", "", "b/z.png", "# a/x", "y", "   ", "a/x")
    assert chosen(tmp_path, *lines) == ["b/z", "a/y", "a/x"]


def test_windows_line_ends_are_not_part_of_names(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_bytes(b"b/z\r\ny\r\n")
    assert read_split(str(tmp_path / "split.txt"), NAMES) == [3, 1]


def test_names_that_are_no_utf8_are_found(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_bytes(b"caf\xe9.png\n")
    names = ["other", os.fsdecode(b"caf\xe9")]
    assert read_split(str(tmp_path / "split.txt"), names) == [1]


def test_numbers_are_indices_where_no_image_is_called_so(tmp_path: Path) -> None:
    assert chosen(tmp_path, "3", "0") == ["b/z", "a/x"]
    with pytest.raises(ValueError, match=r"got 2 others in .* such as 7, 11"):
        chosen(tmp_path, "3", "7", "11")


def test_numbers_are_names_where_images_are_called_so(tmp_path: Path) -> None:
    names = ["0004", "0001", "0000", "0002"]
    assert chosen(tmp_path, "0001", "0002", names=names) == ["0001", "0002"]
    assert chosen(tmp_path, "1", "3", names=names) == ["0001", "0002"]  # indices
    assert chosen(tmp_path, "2", "1", names=["2", "1", "0"]) == ["2", "1"]


def test_a_name_that_is_missing_does_not_turn_others_into_indices(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"got 1 others in .*, such as 0003"):
        chosen(tmp_path, "0001", "0003", names=["0000", "0001", "0002", "0004", "0005"])


def test_unknown_images_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    lines = [f"no{index}.png" for index in range(5)]
    with pytest.raises(
        ValueError,
        match=r"got 5 others in .*split\.txt, such as no0\.png, no1\.png, no2\.png$",
    ):
        chosen(tmp_path, "y", *lines)


def test_an_end_that_two_folders_hold_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got 1 others in .* such as x"):
        chosen(tmp_path, "x", "y")


def test_images_listed_twice_are_counted_and_the_first_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        ValueError, match=r"once, got 2 more often in .*split\.txt, such as a/y, b/z$"
    ):
        chosen(tmp_path, "b/z", "y", "a/y.png", "a/x", "z")
    with pytest.raises(ValueError, match=r"once, got 1 more often .* such as b/z$"):
        chosen(tmp_path, "3", "3")


@pytest.mark.parametrize("lines", [(), ("", "  "), ("# y",)])
def test_an_empty_list_is_an_error(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"must name images, got none in .*split\.txt"):
        chosen(tmp_path, *lines)


def test_a_split_that_is_neither_name_nor_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"must be a list file, got .*no\.txt$"):
        read_split(str(tmp_path / "no.txt"), NAMES)
    with pytest.raises(
        FileNotFoundError,
        match=r"a list file or one of .*unimatch/1_8.*, got unimatch/1_3$",
    ):
        read_split("unimatch/1_3", NAMES, dataset="cityscapes")
    with pytest.raises(FileNotFoundError, match="list file, got unimatch/1_8"):
        read_split("unimatch/1_8", NAMES)


@pytest.mark.parametrize("ending", ["", "_leftImg8bit"])
def test_a_named_split_is_found_in_images_in_folders(ending: str) -> None:
    names = [
        f"{name.split('_')[0]}/{name}{ending}" for name in training_names("cityscapes")
    ]
    order = read_split("unimatch/1_30", names, dataset="cityscapes")
    expected = published_split("cityscapes", "unimatch/1_30")
    assert [names[index].split("/")[1] for index in order] == [
        f"{name}{ending}" for name in expected
    ]


def test_a_split_that_was_written_is_read_again(tmp_path: Path) -> None:
    names = [*NAMES, os.fsdecode(b"caf\xe9"), "Straße"]
    path = tmp_path / "runs/a" / SPLIT_FILE
    for order in ([6, 2, 7, 0], [8, 1]):
        write_split(path, (names[index] for index in order))
        assert read_split(str(path), names) == order
    assert path.read_bytes() == "Straße\na/y\n".encode()
    assert path.name == "split.txt"


def test_a_split_file_is_utf8_under_every_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What ``open`` takes if no encoding is given.
    monkeypatch.setattr(io, "text_encoding", lambda given, *_: given or "latin-1")
    path = tmp_path / SPLIT_FILE
    write_split(path, ["Straße"])
    assert path.read_bytes() == "Straße\n".encode()
    assert read_split(str(path), ["other", "Straße"]) == [1]


def test_names_in_two_unicode_forms_are_the_same(tmp_path: Path) -> None:
    assert chosen(tmp_path, "cafe\u0301.png", names=["other", "caf\u00e9"]) == [
        "caf\u00e9"
    ]


def test_a_resumed_run_has_the_labeled_images_that_it_began_with() -> None:
    check_resumed_split(["a", "cafe\u0301"], ["caf\u00e9", "a"])
    message = (
        r"got 3 for 2, of which 1 are the same \(b is not\); give the same labeled,"
        r" seed and split, or that run's split\.txt as split$"
    )
    with pytest.raises(ValueError, match=message):
        check_resumed_split(["a", "b"], iter(["c", "a", "d"]))


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".TiFf", ".webp"])
def test_suffixes_are_found_in_either_case(tmp_path: Path, suffix: str) -> None:
    assert chosen(tmp_path, f"c d/photo (2){suffix}") == ["c d/photo (2)"]
    assert chosen(tmp_path, f"c d/photo (2){suffix} z.png") == ["c d/photo (2)"]


def test_a_full_name_goes_before_an_end_and_an_end_before_nothing(
    tmp_path: Path,
) -> None:
    names = ["x", "a/x", "b/y_leftImg8bit"]
    assert chosen(tmp_path, "x", "a/x", "y", names=names) == names


def test_names_of_images_are_longer_than_one_folder(tmp_path: Path) -> None:
    names = ["a/b/x", "a/c/x", "c/x"]
    lines = ("/data/a/c/x.png", "a/b/x.png")
    assert chosen(tmp_path, *lines, names=names) == ["a/c/x", "a/b/x"]


def test_an_index_is_at_most_the_number_of_images(tmp_path: Path) -> None:
    assert chosen(tmp_path, "6", "0") == [NAMES[6], NAMES[0]]
    with pytest.raises(ValueError, match=r"got 1 others in .*, such as 7$"):
        chosen(tmp_path, "6", "7")


@pytest.mark.parametrize("line", ["y labels/z.png", "y,labels/z", "a/y more labels/z"])
def test_a_line_that_may_name_two_images_is_refused(tmp_path: Path, line: str) -> None:
    message = (
        rf"got '{line}' in .*split\.txt, which names a/y and b/z; leave out the label"
    )
    with pytest.raises(ValueError, match=message):
        chosen(tmp_path, "a/x", line)


def test_an_image_before_its_label_is_found(tmp_path: Path) -> None:
    for line in ("y labels/y.png", "y labels/q.png", "a/y.png labels/z.png", "y z.png"):
        assert chosen(tmp_path, line) == ["a/y"]
    assert chosen(tmp_path, "my photos/z.png") == ["b/z"]
