from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lightning_classmix import ClassMix, FolderDataModule, Supervised
from lightning_classmix.cli.check import check
from lightning_classmix.inference.predictor import Predictor
from tests import tiny
from tests.images import make_folder, setup_folder


def rewrite_images(root: Path, change: Any, suffix: str) -> Path:
    """Write every image of a folder again: the result of ``change`` of its pixels."""
    folders = ("images", "unlabeled", "val/images")
    for path in [path for name in folders for path in (root / name).iterdir()]:
        pixels = change(np.asarray(Image.open(path).convert("RGB")))
        path.unlink()
        if suffix == ".tif":
            photometric = "rgb" if pixels.shape[2] == 3 else "minisblack"
            planar = {"planarconfig": "contig"} if pixels.shape[2] > 1 else {}
            tifffile.imwrite(
                path.with_suffix(suffix), pixels, photometric=photometric, **planar
            )
        else:
            Image.fromarray(pixels.squeeze()).save(path.with_suffix(suffix))
    return root


def bands(count: int, dtype: type[np.generic] = np.uint16) -> Any:
    return lambda pixels: (
        np.resize(pixels.transpose(2, 0, 1), (count, *pixels.shape[:2]))
        .transpose(1, 2, 0)
        .astype(dtype)
        * np.array(16).astype(dtype)
    )


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_images_of_any_number_of_channels_are_trained_on_and_predicted(
    tmp_path: Path, channels: int
) -> None:
    root = rewrite_images(make_folder(tmp_path / "data"), bands(channels), ".tif")
    data = FolderDataModule(
        root,
        in_channels=channels,
        value_range="auto",
        crop=(32, 32),
        batch_size=2,
        num_workers=0,
    )
    assert len(data.mean) == len(data.std) == channels
    network = torch.nn.Conv2d(channels, 3, 1)
    model = ClassMix(
        3,
        network=network,
        in_channels=channels,
        mean=data.mean,
        std=data.std,
        labeled_only_steps=0,
    )
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(model, data)
    assert data.value_range is not None
    assert model.preprocessing.value_range == data.value_range
    predictor = Predictor(model, device="cpu")
    path = next((root / "unlabeled").iterdir())
    label = predictor(path)
    assert label.shape == (24, 32)
    assert predictor.overlay(path, label).shape == (24, 32, 3)


def test_a_range_is_kept_in_the_checkpoint(tmp_path: Path) -> None:
    root = rewrite_images(make_folder(tmp_path), bands(3), ".tif")
    data = setup_folder(root, value_range="auto")
    low, high = data.value_range
    assert 0 <= low < high <= 255 * 16
    assert data.hparams["value_range"] == [low, high]
    again = FolderDataModule(root, value_range="auto", num_workers=0)
    again.load_state_dict(data.state_dict())
    assert again.value_range == (low, high)


def test_16_bits_are_normalized_like_8_bits(tmp_path: Path) -> None:
    eight = setup_folder(make_folder(tmp_path / "a"), flip=False, jitter=0.0)
    deep = lambda pixels: pixels.astype(np.uint16) * 257  # noqa: E731
    root = rewrite_images(make_folder(tmp_path / "b"), deep, ".tif")
    sixteen = setup_folder(root, flip=False, jitter=0.0)
    for expected, item in zip(
        eight.val_dataloader(), sixteen.val_dataloader(), strict=True
    ):
        torch.testing.assert_close(item["image"], expected["image"], atol=1e-4, rtol=0)


def test_images_with_few_levels_of_16_bits_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = rewrite_images(make_folder(tmp_path), bands(3), ".tif")
    with pytest.warns(UserWarning, match="images of 16 bits hold values up to"):
        setup_folder(root)
    check(FolderDataModule(root))
    assert "images of 16 bits hold values up to" in capsys.readouterr().out
    check(FolderDataModule(root, value_range="auto"))
    assert "0 warnings" in capsys.readouterr().out


def test_a_dropped_alpha_channel_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path)
    alpha = lambda pixels: np.dstack([pixels, pixels[..., :1]])  # noqa: E731
    rewrite_images(root, alpha, ".png")
    check(FolderDataModule(root))
    assert "13 images have channels that are dropped, such as RGBA in" in (
        capsys.readouterr().out
    )
    check(FolderDataModule(root, in_channels=4))
    assert "dropped" not in capsys.readouterr().out


def test_files_with_another_number_of_channels_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path)
    with pytest.raises(ValueError, match=r"have 4 channels, got mode RGB in .*; give"):
        setup_folder(root, in_channels=4)
    with pytest.raises(SystemExit):
        check(FolderDataModule(root, in_channels=4))
    assert "have 4 channels, got mode RGB in" in capsys.readouterr().out


def test_a_module_with_other_channels_than_its_data_is_an_error(tmp_path: Path) -> None:
    data = FolderDataModule(make_folder(tmp_path), crop=None, num_workers=0)
    gray = (0.5,)
    network = torch.nn.Conv2d(1, 3, 1)
    model = Supervised(3, network=network, in_channels=1, mean=gray, std=gray)
    with pytest.raises(ValueError, match="in_channels must be that of the data, 3"):
        tiny.trainer().fit(model, data)
