from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_classmix import ClassMix, FolderDataModule, Supervised
from lightning_classmix.inference.predictor import Predictor
from lightning_classmix.modules.prediction import Blend, to_array
from tests import tiny
from tests.images import make_folder

BLENDS: tuple[Blend, ...] = ("uniform", "gaussian")


class Recorder(ClassMix):
    """Keeps the label maps that validation compares with the truth."""

    labels: list[Tensor]

    def predict_logits(self, image: Tensor, network: str) -> Tensor:
        logits = super().predict_logits(image, network)
        if network == self.evaluate and hasattr(self, "labels"):
            size = self.sizes[len(self.labels)]
            resized = torch.nn.functional.interpolate(logits, size, mode="bilinear")
            self.labels.append(resized.argmax(1)[0])
        return logits

    sizes: list[tuple[int, int]]


def balance(module: ClassMix) -> None:
    """Shift the logits of the teacher so that it predicts all classes."""
    network: Any = module.teacher.network.network
    head = network.head
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    image = torch.randn(4, 3, 24, 33, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        head.bias -= module.teacher(image).mean((0, 2, 3))


@pytest.mark.parametrize(
    ("data_options", "options"),
    [
        ({}, {}),
        ({"size": (20, 28)}, {}),
        ({"mean": (0.2, 0.3, 0.4), "std": (0.5, 0.4, 0.3)}, {"flip_average": True}),
        ({}, {"window": (10, 12)}),
        ({}, {"window": (10, 12), "flip_average": True}),
        ({}, {"window": (40, 9)}),
    ],
)
def test_a_prediction_equals_the_one_that_is_validated(
    tmp_path: Path, data_options: dict[str, Any], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)  # initial weights that predict more than one class
    root = make_folder(tmp_path, size=(24, 33))
    data = FolderDataModule(
        str(root), crop=(16, 16), batch_size=2, num_workers=0, **data_options
    )
    module = Recorder(
        3,
        model="small_unet",
        model_options={"width": 4},
        mean=data.mean,
        std=data.std,
        lr=0.0,
        **options,
    )
    trainer = tiny.trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(module, data)
    balance(module)
    module.sizes = [(24, 33)] * 2
    module.labels = []
    tiny.trainer().validate(module, data, verbose=False)
    validated = module.labels
    del module.labels
    files = [root / f"val/images/v{index}.png" for index in range(2)]

    predictor = Predictor(module, device="cpu")
    for file, expected in zip(files, validated, strict=True):
        assert torch.equal(predictor(file).long(), expected)
        assert torch.equal(module.predict(file).long(), expected)
        assert expected.max() > expected.min()


def small_unet(**options: Any) -> Supervised:
    return Supervised(3, model="small_unet", model_options={"width": 4}, **options)


def test_a_checkpoint_is_loaded_with_its_preprocessing(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    data = FolderDataModule(
        str(root), crop=(16, 16), size=(20, 20), batch_size=2, num_workers=0
    )
    trainer = tiny.trainer(max_steps=1, limit_val_batches=0)
    module = small_unet()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    predictor = Predictor.from_checkpoint(tmp_path / "run.ckpt", device="cpu")
    assert predictor.module.preprocessing.size == (20, 20)
    file = root / "val/images/v0.png"
    assert torch.equal(predictor(file), module.predict(file))


def test_all_kinds_of_images_have_the_same_prediction(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    predictor = Predictor(small_unet(), device="cpu")
    kinds: list[Any] = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        image,
        pixels,
        tensor,
    ]
    labels = predictor([*kinds, tensor / 255])
    assert len(labels) == 6
    assert labels[0].shape == (21, 30)
    assert labels[0].dtype == torch.uint8
    for label in labels[1:]:
        assert torch.equal(label, labels[0])


@pytest.mark.parametrize("window", [None, (9, 16)])
def test_probabilities_sum_to_one_and_give_the_label(window: Any) -> None:
    predictor = Predictor(small_unet(), device="cpu", window=window)
    image = torch.rand(3, 21, 30)
    probabilities: Any = predictor(image, probabilities=True)
    assert probabilities.shape == (3, 21, 30)
    torch.testing.assert_close(probabilities.sum(0), torch.ones(21, 30))
    assert torch.equal(probabilities.argmax(0), predictor(image).long())


def test_batched_windows_have_the_probabilities_of_single_windows() -> None:
    module = small_unet()
    image = torch.rand(3, 50, 61)
    one: Any = Predictor(module, device="cpu", window=(16, 20))
    four: Any = Predictor(module, device="cpu", window=(16, 20), batch_size=4)
    torch.testing.assert_close(
        one(image, probabilities=True), four(image, probabilities=True)
    )


def test_gaussian_blending_favors_the_center_of_a_window() -> None:
    # The network's first logit increases along each window, the other is 0.
    class Ramp(torch.nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            ramp = torch.arange(float(image.shape[-1])).expand(1, *image.shape[-2:])
            return torch.stack([ramp - 4, torch.zeros_like(ramp)], 1)

    module = Supervised(2, network=Ramp())
    image = torch.zeros(3, 6, 10)
    results = [
        Predictor(module, device="cpu", window=(6, 6), blend=blend)(
            image, probabilities=True
        )
        for blend in BLENDS
    ]
    # Column 4 is the fifth of window 1 and the first of window 2.
    last, first = torch.tensor([0.0, -4.0]).sigmoid()
    x = torch.tensor([(4 - 2.5) / 6, (0 - 2.5) / 6]) / 0.25
    weight = (-0.5 * x**2).exp()
    uniform = (last + first) / 2
    gaussian = (last * weight[0] + first * weight[1]) / weight.sum()
    torch.testing.assert_close(results[0][0, 0, 4], uniform)
    torch.testing.assert_close(results[1][0, 0, 4], gaussian)


def test_an_overlay_is_half_image_half_color() -> None:
    predictor = Predictor(
        small_unet(palette=[(0, 0, 0), (200, 0, 0), (0, 0, 100)]), device="cpu"
    )
    image = np.full((2, 3, 3), 100, np.uint8)
    picture = predictor.overlay(image, torch.tensor([[0, 1, 2], [255, 0, 0]]))
    assert picture[0].tolist() == [[50, 50, 50], [150, 50, 50], [50, 50, 100]]
    assert picture[1, 0].tolist() == [50, 50, 50]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4, 3)), TypeError, "uint16 array"),
        (np.zeros((4, 4), np.uint8), ValueError, "3 channels"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "3 channels"),
        (torch.full((3, 4, 4), 2.0), ValueError, r"in \[0, 1\], got \[2, 2\]"),
        (None, TypeError, "got NoneType"),
    ],
)
def test_other_images_are_refused(
    image: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Predictor(small_unet(), device="cpu")(image)


def test_a_file_that_is_no_checkpoint_of_this_package_is_refused(
    tmp_path: Path,
) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"written by a module .* got .*x\.ckpt"):
        Predictor.from_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(FileNotFoundError, match=r"checkpoint must be a file"):
        Predictor.from_checkpoint(tmp_path / "none.ckpt")


def test_a_checkpoint_of_an_own_network_is_refused_with_the_remedy(
    tmp_path: Path,
) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(Supervised(3, network=tiny.network()), tiny.data())
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    with pytest.raises(ValueError, match="trained with, got None; call Supervised"):
        Predictor.from_checkpoint(tmp_path / "own.ckpt")


@pytest.mark.parametrize(
    ("change", "got"), [({"mixing_of_2030": 1}, "mixing_of_2030"), (None, "num_class")]
)
def test_a_checkpoint_of_a_version_with_other_arguments_is_refused(
    tmp_path: Path, change: dict[str, Any] | None, got: str
) -> None:
    trainer = tiny.trainer(max_steps=1)
    options = {"width": 2}
    module = Supervised(3, model="small_unet", model_options=options)
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    arguments = content["hyper_parameters"]
    if change is None:
        del arguments["num_classes"]
    else:
        arguments.update(change)
    torch.save(content, tmp_path / "run.ckpt")
    with pytest.raises(ValueError, match=rf"run\.ckpt.*{got}.*use the version"):
        Predictor.from_checkpoint(tmp_path / "run.ckpt")


def test_a_checkpoint_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Narrow(Supervised):
        def __init__(self, num_classes: int, width: int) -> None:
            options = {"width": width}
            super().__init__(num_classes, model="small_unet", model_options=options)

    trainer = tiny.trainer(max_steps=1)
    trainer.fit(Narrow(3, 2), tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    reads: list[Any] = []
    load = torch.load

    def counted(*args: Any, **options: Any) -> Any:
        reads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", counted)
    module = Predictor.from_checkpoint(tmp_path / "run.ckpt", device="cpu").module
    assert len(reads) == 1
    assert isinstance(module, Narrow)
    for own, other in zip(
        module.parameters(), trainer.lightning_module.parameters(), strict=True
    ):
        assert own.equal(other)


def test_the_pixels_of_a_float_file_are_predicted_as_the_file_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).uniform(-5, 5, (6, 8)).astype(np.float32)
    Image.fromarray(values).save(path)
    module = Supervised(3, network=tiny.network())
    module.preprocessing = replace(module.preprocessing, value_range=(-5.0, 5.0))
    predictor = Predictor(module, device="cpu")
    pixels = to_array(path, 3)
    assert pixels.dtype == np.float32
    assert torch.equal(predictor(pixels), predictor(path))


def test_an_unusable_device_is_named() -> None:
    module = Supervised(3, network=tiny.network())
    with pytest.raises(ValueError, match="device must be usable, got nonsense: Expect"):
        Predictor(module, device="nonsense")
