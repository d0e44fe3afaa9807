"""Checkpoints: loading, contents, and writing without leaving a partial file."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_classmix import ClassMix
from lightning_classmix.checkpoints import AtomicCheckpointIO
from tests import tiny

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def saved(folder: Path, **options: Any) -> Path:
    defaults: dict[str, Any] = {"network": tiny.network(), "labeled_only_steps": 1}
    module = ClassMix(tiny.CLASSES, lr=0.1, **defaults | options)
    trainer = tiny.trainer(plugins=[AtomicCheckpointIO()])
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(folder / "a.ckpt")
    return folder / "a.ckpt"


@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_loads_on_every_device(device: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    module = ClassMix.load_from_checkpoint(
        path, map_location=device, network=tiny.network()
    )
    assert module.device.type == device
    state = torch.load(path, weights_only=True)["state_dict"]
    for key, value in module.state_dict().items():
        assert value.cpu().equal(state[key])


@pytest.mark.slow
def test_loading_a_checkpoint_does_not_read_pretrained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"model": "unet", "encoder": "resnet18", "network": None}
    path = saved(tmp_path, **options, encoder_weights=None)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["encoder_weights"] = "imagenet"
    torch.save(content, path)

    monkeypatch.setattr(
        "lightning_classmix.models.student.load_pretrained",
        lambda *_, **__: pytest.fail("weights are read"),
    )

    def new() -> ClassMix:
        return ClassMix(tiny.CLASSES, model="unet", encoder="resnet18")

    tiny.trainer().validate(
        ClassMix.load_from_checkpoint(path), tiny.data(), verbose=False
    )
    tiny.trainer().validate(new(), tiny.data(), ckpt_path=str(path), verbose=False)
    tiny.trainer(max_steps=6).fit(new(), tiny.data(), ckpt_path=str(path))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"extra": Code()}, path)
    module = ClassMix(tiny.CLASSES, network=tiny.network())
    for load in (
        lambda: ClassMix.load_from_checkpoint(path, network=tiny.network()),
        lambda: tiny.trainer().fit(module, tiny.data(), ckpt_path=str(path)),
        lambda: tiny.trainer().validate(module, tiny.data(), ckpt_path=str(path)),
    ):
        with pytest.raises(Exception, match="Weights only load failed"):
            load()
    assert not (tmp_path / "ran").exists()


def test_the_weights_of_the_teacher_load_into_a_plain_network(tmp_path: Path) -> None:
    module = ClassMix.load_from_checkpoint(saved(tmp_path), network=tiny.network())
    network: Any = module.teacher.network.network
    torch.save(network.state_dict(), tmp_path / "teacher.pth")
    plain = tiny.network()
    plain.load_state_dict(torch.load(tmp_path / "teacher.pth", weights_only=True))
    image = torch.randn(1, 3, 8, 8)
    assert plain.eval()(image).equal(module.eval()(image))


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint({"state_dict": {}}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_checkpoint_is_flushed_to_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace

    def recorded_sync(file: int) -> None:
        calls.append("sync")
        sync(file)

    def recorded_replace(old: Path, new: Path) -> Path:
        calls.append("rename")
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(2)}, tmp_path / "new/a.ckpt")
    assert calls == ["sync", "rename", "sync"]
    content = torch.load(tmp_path / "new/a.ckpt", weights_only=True)
    assert content["a"].tolist() == [1, 1]


def test_model_checkpoint_writes_through_the_atomic_plugin(tmp_path: Path) -> None:
    checkpoints = ModelCheckpoint(
        tmp_path, save_last=True, every_n_train_steps=2, save_top_k=1
    )
    trainer = tiny.trainer(
        callbacks=[checkpoints],
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(ClassMix(tiny.CLASSES, network=tiny.network()), tiny.data())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch=0-step=4.ckpt", "last.ckpt"]
