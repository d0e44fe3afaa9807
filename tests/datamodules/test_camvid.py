from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_classmix import CamVidDataModule, ops
from lightning_classmix.datasets.inspection.label_counts import count_labels
from tests.images import make_camvid

REAL = Path(__file__).parents[3] / "shared" / "data" / "camvid"
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no CamVid in {REAL}")


def made(root: Path, labeled: Any = 3, **options: Any) -> Any:
    options = {"batch_size": 2, "num_workers": 0, **options}
    data = CamVidDataModule(str(root), labeled, **options)
    data.setup("fit")
    return data


def test_the_layout_is_read_and_11_is_void(tmp_path: Path) -> None:
    data = made(make_camvid(tmp_path), size=None)
    assert [len(part) for part in (data.labeled, data.unlabeled, data.val)] == [3, 5, 3]
    label = data.val[0]["label"]
    raw = np.asarray(Image.open(tmp_path / "valannot/00.png"))
    assert (label[0, :3] == ops.VOID).all()
    assert np.array_equal(label[1:], raw[1:])


def test_12_is_not_a_class(tmp_path: Path) -> None:
    root = make_camvid(tmp_path)
    Image.new("L", (32, 24), 12).save(root / "trainannot/01.png")
    with pytest.raises(ValueError, match=r"0 to 11, got 12 .768 .* in .*annot/01\.png"):
        made(root)


def test_all_labels_leave_no_unlabeled_images(tmp_path: Path) -> None:
    assert made(make_camvid(tmp_path), 8).unlabeled is None
    assert made(make_camvid(tmp_path), None).unlabeled is None


@pytest.mark.parametrize("labeled", [0, 9, -1, 0.0, 1.5])
def test_a_subset_that_is_none_is_refused(tmp_path: Path, labeled: float) -> None:
    with pytest.raises(ValueError, match="labeled must be"):
        made(make_camvid(tmp_path), labeled)


def test_a_share_is_a_share_of_the_training_images(tmp_path: Path) -> None:
    assert len(made(make_camvid(tmp_path), 0.5).labeled) == 4


def test_there_are_eleven_classes_with_names_and_colors() -> None:
    data = CamVidDataModule("unread")
    assert data.num_classes == len(data.class_names) == len(data.palette) == 11


@pytest.mark.slow
@real
@pytest.mark.parametrize("seed", range(3))
def test_real_subsets_are_nested_and_hold_every_class(seed: int) -> None:
    subsets = [made(REAL, count, seed=seed) for count in (12, 46, 0.25, 367)]
    sizes = [len(data.labeled) for data in subsets]
    assert sizes == [12, 46, 92, 367]
    images = [set(data.labeled.images) for data in subsets]
    assert images[0] < images[1] < images[2] < images[3]
    seen = {
        value
        for index in range(12)
        for value in np.unique(subsets[0].labeled[index]["label"]).tolist()
    }
    assert seen - {ops.VOID} == set(range(11))


@real
def test_real_shares_of_the_classes_are_those_of_the_data_set() -> None:
    counts = count_labels(CamVidDataModule(REAL).files.labeled).counts
    shares = counts.sum(0) / counts.sum()
    expected = [0.168, 0.233, 0.0098, 0.317, 0.045, 0.097]
    expected += [0.0117, 0.0113, 0.0587, 0.0064, 0.0029, 0.039]
    assert np.allclose(shares[:12], expected, atol=6e-4)
    assert shares[12:].sum() == 0


@real
def test_real_images_make_batches() -> None:
    data = made(REAL, 46)
    batch, _, _ = next(iter(data.train_dataloader()))
    assert batch["labeled"]["image"].shape == (2, 3, 240, 320)
    assert batch["labeled"]["label"].shape == (2, 240, 320)
    item = next(iter(data.val_dataloader()))
    assert item["label"].shape == (1, 360, 480)
