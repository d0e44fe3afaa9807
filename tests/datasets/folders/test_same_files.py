import os
import unicodedata
from pathlib import Path

import pytest

from lightning_classmix.datasets.folders.same_files import (
    repeated_files,
    repetition_warnings,
    shared_images,
)
from lightning_classmix.datasets.image_files import ImageFiles


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``a.png``, ``b.png``, and links to the file and to the folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).touch()
    Path("link.png").symlink_to("a.png")
    Path("links").symlink_to(".")
    Path("sub").mkdir()
    return tmp_path


@pytest.fixture
def case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names that differ in case be one file, as on Windows and macOS."""

    def same(path: str, other: str) -> bool:
        forms = {
            unicodedata.normalize("NFC", os.path.realpath(p)) for p in (path, other)
        }
        return len({form.casefold() for form in forms}) == 1

    monkeypatch.setattr(os.path, "samefile", same)


@pytest.mark.parametrize(
    "path", ["a.png", "./a.png", "sub/../a.png", "links/a.png", "link.png"]
)
@pytest.mark.usefixtures("folder")
def test_every_spelling_of_a_file_is_recognized(path: str) -> None:
    assert [*repeated_files(["b.png", "a.png", path])] == [(path, "a.png")]


@pytest.mark.usefixtures("folder")
def test_names_that_differ_in_case_are_two_files_here() -> None:
    Path("A.png").touch()
    assert [*repeated_files(["a.png", "A.png", "b.png"])] == []


@pytest.mark.parametrize(
    "other", ["A.PNG", "É.png", unicodedata.normalize("NFD", "é.png")]
)
@pytest.mark.usefixtures("folder", "case_insensitive")
def test_names_that_differ_in_case_are_one_file_where_the_system_says_so(
    other: str,
) -> None:
    first = "a.png" if other == "A.PNG" else "é.png"
    for name in (first, other):
        Path(name).touch()
    assert [*repeated_files([first, other])] == [(other, first)]
    parts = [ImageFiles([name], root=Path()) for name in (first, other)]
    assert shared_images(parts[:1], parts[1:]) == [
        f"an image must be trained on or evaluated on, got {first} in both, also as"
        f" {other}"
    ]


def test_a_set_without_repeated_files_has_no_warning(folder: Path) -> None:
    assert repetition_warnings(None, "val") == []
    files = ImageFiles(["a.png", "b.png"], ["l/a.png", "l/b.png"], root=folder)
    assert repetition_warnings(files, "labeled") == []


def test_repeated_images_and_labels_are_one_warning_each(folder: Path) -> None:
    images = ["a.png", "links/a.png", "link.png"]
    files = ImageFiles(images, ["b.png", "b.png", "link.png"], root=folder)
    assert [text.partition(";")[0] for text in repetition_warnings(files, "val")] == [
        "2 images of val are files that it holds more than once, such as links/a.png"
        " and a.png",
        "1 labels of val are files that it holds more than once, such as b.png",
    ]
