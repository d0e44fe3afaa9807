"""Images of one to thirteen channels, from files to an exported network."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lightning_classmix import ClassMix, FolderDataModule, Predictor, export
from tests import tiny

SIDE = 24


def make_images(root: Path, channels: int) -> None:
    """Save images, 8 bits for up to four channels and 16 bits for more."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(8):
        label = rng.integers(0, 3, (4, 4)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
        pixels = np.stack([label * 50 + band for band in range(channels)], -1)
        if channels in (1, 4):
            image = Image.fromarray(pixels.astype(np.uint8).squeeze())
            image.save(root / f"images/{number}.png")
        else:
            bands = pixels.astype(np.uint16) * 200
            tifffile.imwrite(
                root / f"images/{number}.tif",
                bands,
                photometric="minisblack",
                planarconfig="contig",
            )
        Image.fromarray(label).save(root / f"labels/{number}.png")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("channels", [1, 2, 4, 6, 13])
def test_a_network_for_any_number_of_channels_is_trained_and_exported(
    channels: int, tmp_path: Path
) -> None:
    make_images(tmp_path / "data", channels)
    data = FolderDataModule(
        tmp_path / "data",
        in_channels=channels,
        mean=[0.5] * channels,
        std=[0.25] * channels,
        crop=(16, 16),
        batch_size=2,
        labeled=4,
        num_workers=0,
    )
    data.prepare_data()
    data.setup("fit")
    module = ClassMix(
        3,
        model="small_unet",
        encoder_weights=None,
        model_options={"width": 8},
        in_channels=channels,
        mean=data.mean,
        std=data.std,
        labeled_only_steps=1,
        ramp_steps=1,
    )
    trainer = tiny.trainer(max_steps=3)
    trainer.fit(module, data)
    trainer.validate(module, data, verbose=False)
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    predictor = Predictor.from_checkpoint(tmp_path / "last.ckpt")
    file = next((tmp_path / "data/images").iterdir())
    label = predictor(file)
    assert isinstance(label, torch.Tensor)
    assert label.shape == (SIDE, SIDE)
    assert predictor.overlay(file, label).shape == (SIDE, SIDE, 3)
    export(tmp_path / "last.ckpt", tmp_path / "out", format="onnx")
    metadata = json.loads((tmp_path / "out/model.json").read_text())
    assert len(metadata["mean"]) == channels
