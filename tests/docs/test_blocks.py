"""Every code block of the README and the docs runs, or is marked with a reason."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import (
    PAGES,
    ROOT,
    make_workspace,
    read_blocks,
    run_block,
    run_command,
    shorten_defaults,
)


# The datasets of the tests are smaller than the batches of some pages.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path, page.read_text())
    monkeypatch.chdir(tmp_path)
    shorten_defaults(monkeypatch)
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in read_blocks(page):
        if block.mark == "not run":
            continue
        try:
            run_block(block, names, monkeypatch)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block} failed: {error!r}\n{block.code}") from error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_file_that_a_page_shows_is_used_by_a_later_block(page: Path) -> None:
    blocks = read_blocks(page)
    for index, block in enumerate(blocks):
        if block.title is not None and block.mark is None:
            later = "".join(other.code for other in blocks[index + 1 :])
            parts = [part for part in Path(block.title).parts if part != "FOLDER"]
            assert any(part in later for part in parts), str(block)


def test_every_block_that_is_not_run_names_a_target_or_file_that_exists() -> None:
    targets = re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text())
    for page in PAGES:
        for block in read_blocks(page):
            if block.mark != "not run" or block.language != "bash":
                continue
            for line in block.commands:
                program, argument, *_ = line.split()
                if program == "make":
                    assert argument in targets, str(block)
                if program == "python":
                    assert (ROOT / argument).is_file(), str(block)


def test_a_wrong_flag_in_a_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "classmix fit --config street_scenes --data.sise 3"
    with pytest.raises(SystemExit, match="2"):
        run_command(line, monkeypatch, parse=True)


def run_blocks(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in read_blocks(page):
        run_block(block, {}, monkeypatch)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```rust\nfn main() {}\n```\n", "must be python, bash"),
        ("```bash\nls\n```\n", "must begin with classmix"),
        ("```bash\nclassmix fit\n", "two fences a block"),
    ],
)
def test_a_block_that_can_neither_run_nor_is_marked_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    monkeypatch.setattr("tests.docs.blocks.ROOT", tmp_path)
    with pytest.raises(ValueError, match=error):
        run_blocks(page, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_links_to_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]
