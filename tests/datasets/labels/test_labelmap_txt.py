from pathlib import Path

import pytest

from lightning_classmix.datasets.labels.labelmap_txt import (
    BORDER,
    LABELMAP_FILE,
    read_labelmap,
)


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "labelmap.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_classes_are_read_in_order_without_comments_and_empty_lines(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        "\ufeff# label:color_rgb:parts:actions",
        "void:0,0,0::",
        "",
        "  ",
        "#old:9,9,9::",
        "Straße:128, 64,255:wheel,door:drive",
        "car:255,0,1",
    )
    assert [*read_labelmap(path).items()] == [
        ("void", (0, 0, 0)),
        ("Straße", (128, 64, 255)),
        ("car", (255, 0, 1)),
    ]


@pytest.mark.parametrize(
    "line", ["sky;0;0;0", "sky", "sky:1,2::", "sky:1,2,3,4::", "sky:a,b,c::", "sky:::"]
)
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, "# comment", "car:1,2,3::", line)
    with pytest.raises(ValueError, match="name:red,green,blue:parts:actions") as error:
        read_labelmap(path)
    assert str(error.value).endswith(f"got {line!r} in line 3 of {path}")
    assert error.value.__suppress_context__


@pytest.mark.parametrize("line", ["bus:1,2,3::", "car:4,5,6::"])
def test_a_name_or_a_color_that_comes_twice_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, "car:1,2,3::", line)
    with pytest.raises(ValueError, match=rf"got '{line}' again in line 2 of /"):
        read_labelmap(path)


def test_a_file_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labelmap\.txt must hold a line for each"):
        read_labelmap(written(tmp_path, "# label:color_rgb:parts:actions"))


def test_name_and_color_of_outlines_are_those_of_the_tools() -> None:
    assert LABELMAP_FILE == "labelmap.txt"
    assert BORDER == (224, 224, 192)
