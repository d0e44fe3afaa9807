from pathlib import Path
from typing import Any

import pytest

from lightning_classmix.datasets.labels.class_info import Classes, read_classes


def read(tmp_path: Path, text: str) -> Classes:
    path = tmp_path / "classes.yaml"
    path.write_text(text, encoding="utf-8")
    return read_classes(path)


def test_a_list_holds_class_names(tmp_path: Path) -> None:
    assert read(tmp_path, "- sky\n- Straße\n") == Classes(["sky", "Straße"])


def test_the_three_parts_are_read_by_their_names(tmp_path: Path) -> None:
    classes = read(
        tmp_path,
        "class_names: [sky, road]\n"
        "palette: [[0, 0, 255], [9, 9, 9]]\n"
        "label_map: {7: 0, '#ff0000': 1, 8: 255}\n",
    )
    assert classes.class_names == ["sky", "road"]
    assert classes.palette == [(0, 0, 255), (9, 9, 9)]
    assert classes.label_map == {7: 0, "#ff0000": 1, 8: 255}


def test_a_part_may_stand_alone(tmp_path: Path) -> None:
    classes = read(tmp_path, "\ufefflabel_map: {0: 1, 1: 0}\n")
    assert classes == Classes(label_map={0: 1, 1: 0})


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("names: [a, b]\n", "names"),
        ("class_names: [a, b]\npalete: [[1, 2, 3]]\n", "class_names, palete"),
        ("sky", "sky"),
        ("7: sky\n", "7"),
    ],
)
def test_other_content_of_a_file_is_an_error(
    tmp_path: Path, text: str, got: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"classes\.yaml must hold .*, label_map, num_classes, got {got}$",
    ):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["class_names: [a, b", "a: b: c", "\t- a"])
def test_invalid_yaml_is_reported_on_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"classes\.yaml must be YAML, got ") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_text_are_invalid_yaml(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_bytes(b"- caf\xe9\n")
    with pytest.raises(ValueError, match=r"classes\.yaml must be YAML, got "):
        read_classes(path)


LISTED = r"class_names must be a list of names, got "
COLORS = r"palette must be a list of colors, each of three numbers .*, got "
TABLE = r"label_map must map raw values to classes or to 255 for void, got "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class_names: road", LISTED + "road"),
        ("class_names: []", LISTED + r"\[\]"),
        ("[sky, 7]", LISTED),
        ("class_names: {0: sky}", LISTED),
        ("[sky, road, sky]", r"class_names must differ, got \['sky', 'road', 'sky'\]"),
        ("palette: []", COLORS),
        ("palette: 7", COLORS),
        ("palette: [[1, 2]]", COLORS),
        ("palette: [[1, 2, 256]]", COLORS),
        ("palette: [[1, 2, -1]]", COLORS),
        ("palette: [[1, 2, 0.5]]", COLORS),
        ("palette: ['#ff0000']", COLORS),
        ("palette: {a: [1, 2, 3]}", COLORS),
        (
            "palette: [[1, 2, 3], [0, 0, 0], [1, 2, 3]]",
            r"palette must hold different colors, got \[1, 2, 3\] for the classes"
            r" \[0, 2\]",
        ),
        ("label_map: [0, 1]", TABLE),
        ("label_map: {}", TABLE),
        ("label_map: {0: sky}", TABLE),
        ("label_map: {0: 0.5}", TABLE),
        ("label_map: {red: 0}", r"got 'red' in label_map"),
        ("label_map: {0.5: 0}", r"got 0\.5 in label_map"),
        ("label_map: {7: 300}", r"classes in \[0, 254\] .*, got 300 for 7"),
        ("label_map: {7: -1}", r"classes in \[0, 254\] .*, got -1 for 7"),
        (
            "{class_names: [a, b], palette: [[1, 2, 3]]}",
            "must have equal lengths, got 2 names and 1 colors",
        ),
    ],
)
def test_every_wrong_value_is_named_with_its_file(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=rf"{told}.* in .*classes\.yaml$"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"class_names": "road"}, LISTED),
        ({"palette": [(1, 2)]}, COLORS),
        ({"label_map": {"red": 0}}, "got 'red' in label_map$"),
    ],
)
def test_arguments_are_checked_likewise(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Classes(**wrong).check("")


def test_tuples_do_as_well_as_lists() -> None:
    Classes(("a", "b"), ((1, 2, 3), (4, 5, 6)), {0: 0, "#000001": 1}).check("")
