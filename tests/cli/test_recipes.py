from pathlib import Path

import pytest

from lightning_classmix.cli.help import RECIPES
from lightning_classmix.cli.recipes import read_config, recipe_path


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_of_the_user_precedes_a_packaged_recipe() -> None:
    assert recipe_path("camvid") == RECIPES / "camvid.yaml"
    Path("camvid").write_text("{}")
    assert recipe_path("camvid") == Path("camvid")


def test_an_unknown_recipe_is_an_error_with_similar_names() -> None:
    with pytest.raises(FileNotFoundError, match="got 'camvit'; did you mean camvid"):
        recipe_path("camvit")


def test_a_config_is_read_as_plain_values() -> None:
    Path("own.yaml").write_text("model: {lr: 1e-3}\ndata:\n  size: [1, 2]\n")
    content = {"model": {"lr": 0.001}, "data": {"size": [1, 2]}}
    assert read_config("own.yaml") == (Path("own.yaml"), content)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "a: " + "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"data: [", r"must be YAML, got wrong\.yaml: .*expected"),
        (b"- a\n- b", r"must hold keys and values, got wrong\.yaml$"),
        (b"1: 2", r"must hold keys and values, got wrong\.yaml$"),
        (b"", r"wrong\.yaml, an empty file$"),
        (b"# nothing\n", r"wrong\.yaml, an empty file$"),
        ("data: ö".encode("latin-1"), r"text in UTF-8, got wrong\.yaml: byte 6"),
        (b"\x89PNG\r\n\x1a\n\x00", r"text in UTF-8, got wrong\.yaml: byte 0"),
        (b"data: \x00", r"must be YAML, got wrong\.yaml: .*not allowed"),
        (b"a: *missing", "undefined alias"),
        (b"? [a]\n: b", "unhashable key"),
        (b"a: !!python/object/apply:os.system [ls]", "could not determine"),
        (DEEP.encode(), r"at most 50 levels deep, got wrong\.yaml"),
        (BOMB.encode(), r"got more in wrong\.yaml, whose aliases repeat"),
        (b"#" * 1_000_001, r"smaller than 1 MB, got wrong\.yaml"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_a_file_that_is_no_config_is_named(content: bytes, message: str) -> None:
    Path("wrong.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_config("wrong.yaml")
