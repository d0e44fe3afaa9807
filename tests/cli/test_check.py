import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import CamVidDataModule, FolderDataModule
from lightning_classmix.cli.check import check, masks
from lightning_classmix.datasets.labels.label_reading import read_label
from tests.images import make_camvid, make_folder, save_pair


def checked(
    data: Any,
    capsys: pytest.CaptureFixture[str],
    **options: bool,
) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and what was printed as JSON."""
    status = 0
    try:
        check(data, json=True, **options)
    except SystemExit as error:
        status = int(str(error.code))
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, report


@pytest.fixture(name="root")
def make_root(tmp_path: Path) -> Path:
    """Write 6 labeled, 5 unlabeled and 2 validation images; every label differs."""
    return make_folder(tmp_path)


def relabel(path: Path, values: Any) -> None:
    Image.fromarray(np.broadcast_to(np.uint8(values), (24, 32)).copy()).save(path)


def test_a_folder_without_faults_is_counted_with_status_0(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = checked(FolderDataModule(root), capsys)
    assert status == 0
    assert report["faults"] == report["warnings"] == report["duplicates"] == []
    assert report["images"] == {"labeled": 6, "unlabeled": 5, "val": 2}
    assert report["sizes"]["unlabeled"] == {"24 x 32": 5}
    assert report["channels"]["labeled"] == {"RGB": 6}


def test_shares_are_those_of_the_pixels(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.zeros((24, 32), np.uint8)
    values[0], values[1] = 255, 2
    Image.fromarray(values).save(root / "labels/00.png")
    _, report = checked(FolderDataModule(root), capsys)
    raw = np.stack(
        [read_label(path).values for path in sorted((root / "labels").iterdir())]
    )
    known = (raw != 255).sum()
    for label in range(3):
        found = report["classes"]["labeled"][str(label)]
        assert found["share"] == pytest.approx((raw == label).sum() / known)
        assert found["images"] == (raw == label).any(axis=(1, 2)).sum()
    assert report["void_share"]["labeled"] == pytest.approx(32 / raw.size)
    assert report["void_share"]["val"] == 0


def test_classes_per_image_are_listed_with_the_number_of_masks(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    relabel(root / "labels/00.png", [255] * 5 + [1] * 27)  # void is no class
    _, report = checked(FolderDataModule(root), capsys)
    assert report["classes_per_image"] == [
        {"classes": 1, "images": 1, "masks": 1},
        {"classes": 3, "images": 5, "masks": 3},
    ]


@pytest.mark.parametrize("classes", range(1, 7))
def test_masks_are_the_subsets_of_half_the_classes(classes: int) -> None:
    assert masks(classes) == len([*combinations(range(classes), classes // 2)])


def test_few_classes_per_image_cause_a_warning(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(6):
        relabel(root / f"labels/{index:02d}.png", [0] * 16 + [1 + index % 2] * 16)
    status, report = checked(FolderDataModule(root), capsys)
    assert status == 0
    (warning,) = report["warnings"]
    assert "classes in a labeled image: 2 in the median" in warning
    assert checked(FolderDataModule(root), capsys, strict=True)[0] == 1


def broken(root: Path) -> dict[str, str]:
    """Break files of a folder; return the expected reason for each."""
    cut = (root / "images/00.jpg").read_bytes()
    (root / "images/00.jpg").write_bytes(cut[: len(cut) // 2])
    (root / "unlabeled/u1.png").write_bytes(b"")
    (root / "unlabeled/u2.png").write_bytes(b"no image")
    Image.new("L", (9, 7)).save(root / "labels/01.png")
    (root / "labels/02.png").unlink()
    relabel(root / "labels/03.png", [*range(9, 12), *[0] * 29])
    relabel(root / "val/labels/v0.png", 255)
    Image.new("L", (32, 24)).save(root / "labels/04.png", format="JPEG")
    (root / "labels/05.png").rename(root / "labels/05.jpg")
    relabel(root / "labels/orphan.png", 0)
    return {
        "images/00.jpg": "must be readable",
        "unlabeled/u1.png": "empty",
        "unlabeled/u2.png": "must be readable",
        "labels/01.png": "24 x 32 in",
        "images/02.jpg": "must have a label",
        "labels/03.png": "9 (24 pixels), 10 (24 pixels), 11 (24 pixels)",
        "val/labels/v0.png": "nothing but void",
        "labels/04.png": "JPEG",
        "labels/05.jpg": "lossless",
        "labels/orphan.png": "must have an image",
    }


@pytest.mark.parametrize("options", [{"num_classes": 3}, {"class_names": list("abc")}])
def test_every_fault_is_reported_with_its_file(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
) -> None:
    expected = broken(root)
    status, report = checked(FolderDataModule(root, **options), capsys)
    assert status == 1
    assert len(report["faults"]) == len(expected), report["faults"]
    for file, reason in expected.items():
        assert any(file in fault and reason in fault for fault in report["faults"]), (
            file
        )


def test_one_wrong_value_among_masks_of_0_and_255_is_a_fault(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (root / "labels").iterdir():
        relabel(path, [0] * 20 + [255] * 12)
    for path in (root / "val/labels").iterdir():
        relabel(path, [0] * 20 + [255] * 12)
    relabel(root / "labels/03.png", [0] * 20 + [255] * 11 + [254])
    status, report = checked(FolderDataModule(root), capsys)
    assert status == 1
    (fault,) = report["faults"]
    assert "254 (24 pixels)" in fault
    assert "labels/03.png" in fault
    assert [*report["classes"]["labeled"]] == ["0", "1"]


def test_labels_of_colors_without_a_table_are_a_fault(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("labels", "val/labels"):
        for path in (root / folder).iterdir():
            Image.new("RGB", (32, 24), (255, 0, 0)).save(path)
    status, report = checked(FolderDataModule(root), capsys)
    assert status == 1
    (fault,) = report["faults"]
    assert "#ff0000" in fault
    assert "classes.yaml" in fault


def test_leakage_is_found_by_equal_pixels(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(root / "val/images/v1.png").save(root / "unlabeled/other.bmp")
    Image.open(root / "unlabeled/u0.png").save(root / "unlabeled/again.png")
    status, report = checked(FolderDataModule(root), capsys)
    assert status == 0
    found = [
        {(item["part"], Path(item["file"]).name) for item in group}
        for group in report["duplicates"]
    ]
    assert {("unlabeled", "other.bmp"), ("val", "v1.png")} in found
    assert {("unlabeled", "again.png"), ("unlabeled", "u0.png")} in found
    assert len(found) == 2
    assert any("leakage, scores" in x and "v1.png" in x for x in report["warnings"])
    assert any("more than once" in x for x in report["warnings"])


def test_images_that_do_not_keep_their_labels_count_as_unlabeled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = CamVidDataModule(make_camvid(tmp_path), labeled=3)
    status, report = checked(data, capsys)
    assert status == 0
    assert report["images"] == {"labeled": 3, "unlabeled": 5, "val": 3}
    assert sum(row["images"] for row in report["classes_per_image"]) == 3
    assert "no labeled image holds Road" in " ".join(report["warnings"])


def test_a_split_that_does_not_fit_is_a_fault(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("nobody\n")
    data = FolderDataModule(root, split=tmp_path / "list.txt")
    status, report = checked(data, capsys)
    assert status == 1
    assert "nobody" in report["faults"][0]


def test_the_label_of_a_turned_image_is_explained(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turned = Image.Exif()
    turned[274] = 6
    Image.open(root / "images/00.jpg").save(root / "images/00.jpg", exif=turned)
    _, report = checked(FolderDataModule(root), capsys)
    assert "EXIF" in report["faults"][0]


def test_each_file_is_read_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[Path] = []

    def record(path: Path, *limits: int) -> Any:
        read.append(path)
        return read_label(path, *limits)

    monkeypatch.setattr("lightning_classmix.datasets.image_files.read_label", record)
    checked(FolderDataModule(root, labeled=3), capsys)
    assert len(read) == len(set(read)) == 8


def test_the_report_is_a_readable_table(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "classes.yaml").write_text("[sky, road, tree]")
    check(FolderDataModule(root))
    report = capsys.readouterr().out
    for part in ("labeled", "24 x 32 (6)", "RGB (5)", "road", "0 faults", "0 warnings"):
        assert part in report


@pytest.mark.parametrize("options", [{"num_classes": 3}, {}])
def test_masks_of_0_and_255_among_classes_cause_a_warning(
    root: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    relabel(root / "labels/02.png", [0] * 20 + [255] * 12)
    _, report = checked(FolderDataModule(root, **options), capsys)
    (warning,) = report["warnings"]
    assert "1 label with nothing but class 0 and void" in warning
    assert "labels/02.png" in warning


def test_class_names_with_brackets_are_printed_unchanged(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(FolderDataModule(root, class_names=["road [paved]", "[/b]x", "c"]))
    report = capsys.readouterr().out
    assert "road [paved]" in report
    assert "[/b]x" in report


def test_a_folder_without_labels_is_an_error(tmp_path: Path) -> None:
    save_pair(tmp_path / "images/a.png", None)
    with pytest.raises(ValueError, match=r"got images/ \(1 \.png\); give image_dir"):
        check(FolderDataModule(tmp_path))
