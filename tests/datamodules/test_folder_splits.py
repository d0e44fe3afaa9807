import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from lightning_classmix import ClassMix, FolderDataModule
from lightning_classmix.datasets.splits import SPLIT_FILE, write_split
from tests import tiny
from tests.images import image_names, make_folder, setup_folder


def test_a_subset_keeps_its_labels_and_the_rest_is_unlabeled(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    data = setup_folder(root, labeled=2)
    assert len(data.labeled) == 2
    assert len(data.unlabeled) == 9
    assert not {*data.labeled.images} & {*data.unlabeled.images}
    assert {*image_names(data.labeled)} <= {
        *image_names(setup_folder(root, labeled=4).labeled)
    }


def test_a_broken_label_is_an_error_if_a_subset_is_drawn(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "labels/02.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"must be readable, got .*02\.png"):
        setup_folder(root, labeled=2)


def test_the_images_of_a_split_are_labeled_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path)
    (root / "split.txt").write_text("04.jpg\nimages/01.jpg labels/01.png\n03\n")
    data = setup_folder(root, split=root / "split.txt")
    assert data.labeled.names() == ["01", "03", "04"]
    rest = ["00.jpg", "02.jpg", "05.jpg"]
    assert image_names(data.unlabeled) == [
        *rest,
        *(f"u{index}.png" for index in range(5)),
    ]
    assert setup_folder(root, split=root / "split.txt", labeled=2).labeled.names() == [
        "01",
        "04",
    ]
    with pytest.raises(ValueError, match=r"labeled must be in \[1, 3\], .* got 4"):
        setup_folder(root, split=root / "split.txt", labeled=4)


def test_a_split_is_read_without_reading_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path)
    (root / "split.txt").write_text("04\n01\n")
    monkeypatch.setattr("lightning_classmix.datasets.image_files.read_label", None)
    assert FolderDataModule(root, split=root / "split.txt").choose() == [4, 1]
    assert FolderDataModule(root, 3, labeled=3, split=root / "split.txt").split


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 16 images, in which each of four classes is on one image."""
    root = make_folder(tmp_path_factory.mktemp("rare"), labeled=16, val=1)
    for index, value in ((3, 3), (7, 4), (8, 5), (15, 6)):
        label = np.asarray(Image.open(root / f"labels/{index:02d}.png")).copy()
        label[0, 0] = value
        Image.fromarray(label).save(root / f"labels/{index:02d}.png")
    return root


amounts = st.one_of(st.integers(1, 16), st.floats(0.01, 1))


@settings(max_examples=15, deadline=None)
@given(amounts, amounts, st.integers(0, 99))
def test_drawn_subsets_are_nested_and_cover_every_class(
    rare: Path, one: float, other: float, seed: int
) -> None:
    drawn = [
        FolderDataModule(rare, 7, labeled=labeled, seed=seed).choose()
        for labeled in (one, other)
    ]
    small, large = sorted(drawn, key=len)
    assert large[: len(small)] == small
    for order in drawn:
        assert len(order) < 4 or {3, 7, 8, 15} <= {*order}


def test_the_seed_decides_which_images_are_labeled(rare: Path) -> None:
    drawn = [
        FolderDataModule(rare, 7, labeled=10, seed=seed).choose() for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert {*drawn[0]} != {*drawn[2]}


def test_the_state_holds_the_split_and_accepts_no_other(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    state = setup_folder(root, labeled=3).state_dict()
    assert state["split"] == setup_folder(root, labeled=3).labeled.names()
    setup_folder(root, labeled=3).load_state_dict(state)
    with pytest.raises(
        ValueError,
        match=r"got 4 for 3, of which 3 are the same \(0\d is not\); give the",
    ):
        setup_folder(root, labeled=4).load_state_dict(state)
    (tmp_path / "split.txt").write_text("\n".join(reversed(state["split"])))
    setup_folder(root, split=tmp_path / "split.txt").load_state_dict(state)


def test_a_state_without_a_split_to_compare_is_restored(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    state = setup_folder(root, labeled=3).state_dict()
    setup_folder(root, "validate", labeled=2).load_state_dict(state)
    data = setup_folder(root, labeled=2)
    data.load_state_dict({"base_seed": 7})  # of a data module that has no split
    assert data.state_dict()["base_seed"] == 7


def fitted(root: Path, run: Path, ckpt_path: Path | None = None, **options: Any) -> Any:
    data = FolderDataModule(
        root, crop=None, batch_size=2, num_workers=0, steps_per_epoch=1, **options
    )
    trainer = tiny.trainer(
        logger=CSVLogger(run, name="", version="one"),
        max_epochs=2 if ckpt_path else 1,
        max_steps=-1,
        log_every_n_steps=1,
        limit_val_batches=0,
    )
    model = ClassMix(tiny.CLASSES, network=tiny.network(norm=False))
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer


def test_a_run_writes_its_split_and_does_not_resume_with_another(
    tmp_path: Path,
) -> None:
    root = make_folder(tmp_path / "data")
    trainer = fitted(root, tmp_path / "run", labeled=3)
    split = tmp_path / "run/one" / SPLIT_FILE
    labeled = trainer.datamodule.labeled.names()
    assert split.read_text().splitlines() == labeled
    trainer.save_checkpoint(tmp_path / "run.ckpt")

    with pytest.raises(ValueError, match="got 4 for 3, of which 3 are the same"):
        fitted(root, tmp_path / "other", tmp_path / "run.ckpt", labeled=4)
    for name, options in (("a", {"labeled": 3}), ("b", {"split": split})):
        again = fitted(root, tmp_path / name, tmp_path / "run.ckpt", **options)
        assert again.global_step == 2
        assert again.datamodule.labeled.names() == labeled


def test_names_that_are_not_utf8_are_written_and_read_again(
    tmp_path: Path,
) -> None:
    root, name = make_folder(tmp_path / "data"), os.fsdecode(b"caf\xe9")
    (root / "images/02.jpg").rename(root / f"images/{name}.jpg")
    (root / "labels/02.png").rename(root / f"labels/{name}.png")
    data = setup_folder(root)
    write_split(tmp_path / "run/split.txt", data.labeled.names())
    again = setup_folder(root, split=tmp_path / "run/split.txt")
    assert name in again.labeled.names()
    assert again.labeled.names() == data.labeled.names()


def test_names_in_other_unicode_forms_are_the_same(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    composed, decomposed = (unicodedata.normalize(f, "é") for f in ("NFC", "NFD"))
    (root / "images/02.jpg").rename(root / f"images/{decomposed}.jpg")
    (root / "labels/02.png").rename(root / f"labels/{composed}.png")
    (root / "split.txt").write_text(f"{decomposed}\n04\n", encoding="utf-8")
    data = setup_folder(root, split=root / "split.txt")
    assert sorted(data.labeled.names()) == ["04", composed]
    data.load_state_dict({"base_seed": 0, "split": [decomposed, "04"]})
