import unicodedata
from pathlib import Path

import pytest

from lightning_classmix.datasets.folders.list_reading import find_files, read_rows

ROWS = [("img/a.jpg", "gt/a.png"), ("img/b.jpg", "gt/b.png")]


@pytest.mark.parametrize(
    "text",
    [
        "image;label\nimg/a.jpg;gt/a.png\nimg/b.jpg;gt/b.png\n",
        "filename,mask\nimg/a.jpg,gt/a.png\nimg/b.jpg,gt/b.png\n",
        "x\ty\nimg/a.jpg\tgt/a.png\nimg/b.jpg\tgt/b.png\n",
        ",image,label\n0,img/a.jpg,gt/a.png\n1,img/b.jpg,gt/b.png\n",
        "0;img/a.jpg;gt/a.png\n1;img/b.jpg;gt/b.png\n",
        "mask,image\ngt/a.png,img/a.jpg\ngt/b.png,img/b.jpg\n",
        '"image","label"\n"img/a.jpg","gt/a.png"\n"img/b.jpg","gt/b.png"\n',
        "img/a.jpg gt/a.png\r\nimg/b.jpg gt/b.png\r\n",
        "id,split,img,seg\n7,train,img/a.jpg,gt/a.png\n8,val,img/b.jpg,gt/b.png\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_many_forms_hold_the_same_rows(
    tmp_path: Path, text: str, encoding: str
) -> None:
    (tmp_path / "list.csv").write_text(text, encoding=encoding)
    assert read_rows(tmp_path / "list.csv") == ROWS


def test_a_separator_may_be_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a;b.jpg,c.png\n")
    assert read_rows(tmp_path / "list.csv") == [("a;b.jpg", "c.png")]


def test_utf_16_without_a_mark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a.jpg,a.png\n", encoding="utf-16-le")
    with pytest.raises(ValueError, match=r"must be in UTF-8, .*list\.csv; save it"):
        read_rows(tmp_path / "list.csv")


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.jpg").touch()
    path = f"{tmp_path}/img\\a.jpg"
    assert find_files([path]) == {path: f"{tmp_path}/img/a.jpg"}
    (tmp_path / "img\\a.jpg").touch()  # a name that holds the backslash
    assert find_files([path]) == {path: path}


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_found_in_any_unicode_form(
    tmp_path: Path, listed: str, stored: str
) -> None:
    name = "é/ü.png"
    actual = tmp_path / unicodedata.normalize(stored, name)  # type: ignore[arg-type]
    actual.parent.mkdir()
    actual.touch()
    path = f"{tmp_path}/{unicodedata.normalize(listed, name)}"  # type: ignore[arg-type]
    assert find_files([path, f"{tmp_path}/no.png"]) == {path: str(actual)}


def test_a_name_is_found_in_another_case_where_the_system_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.JPG").touch()
    path = f"{tmp_path}/a.jpg"
    assert find_files([path]) == {}
    monkeypatch.setattr("os.path.isfile", lambda name: str(name).lower() == path)
    assert find_files([path]) == {path: path}
