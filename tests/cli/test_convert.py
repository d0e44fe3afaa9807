import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import FolderDataModule
from lightning_classmix.cli.main import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["classmix", "convert", *map(str, arguments)])
    main()


def make(folder: Path, *, kind: str = "polygon") -> None:
    folder.mkdir(parents=True)
    for name in "abcd":
        image = np.zeros((8, 12, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{name}.png")
    shapes = [
        {"label": "road", "points": [(0, 0), (9, 0), (9, 4)], "shape_type": "polygon"},
        {"label": "tree", "points": [(0, 5), (3, 8)], "shape_type": kind},
    ]
    if kind == "polygon":
        shapes[1]["points"] = [(0, 5), (3, 5), (3, 8)]
    for name in "ab":
        content = {"imagePath": f"{name}.png", "shapes": shapes}
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_the_folder_that_is_written_can_be_trained_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "in")
    out = tmp_path / "out"
    run(monkeypatch, "--from", "labelme", tmp_path / "in", "--out", out)
    printed = capsys.readouterr().out
    assert f"2 images: {out / 'images'}" in printed
    assert f"2 images: {out / 'unlabeled'}" in printed
    data = FolderDataModule(out, crop=(8, 8), batch_size=2, num_workers=0)
    with pytest.warns(UserWarning, match="nothing is validated"):
        data.setup("fit")
    assert data.num_classes == 3
    assert data.class_names == ["background", "road", "tree"]


def test_what_is_not_converted_is_written_to_a_file_with_status_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "in", kind="rectangle")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, f"--out={out}", "--from=labelme", tmp_path / "in")
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert "2 items were not converted" in error
    fault = f"{tmp_path / 'in/a.png'}: object 2 (tree): a rectangle is a box"
    assert fault in error
    assert fault in (out / "not_converted.txt").read_text()
    label = np.asarray(Image.open(out / "labels/a.png"))
    assert (label[5:, :3] == 255).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "coco", "missing", "--out", "new"], "source must be a file or"),
        (["--from", "coco", "in", "--out", "in"], "out must be an empty or new folder"),
        (["--from", "cocoa", "in", "--out", "new"], "from must be .*coco.*got cocoa"),
        (["in", "--out", "new"], "from must be given"),
    ],
)
def test_wrong_arguments_end_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("classmix: error: ")
    assert re.search(message, last), last
