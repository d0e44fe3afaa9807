"""Distributed training and evaluation in two processes, with the gloo backend."""

import copy
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lightning_classmix import (
    ClassMix,
    FolderDataModule,
    SemiSupervisedDataModule,
    Supervised,
)
from lightning_classmix.callbacks import FiniteLoss, PredictionWriter
from lightning_classmix.models.teacher import Teacher
from tests import tiny
from tests.images import make_folder

pytestmark = pytest.mark.forks


class Recorder(Callback):
    """Save the batches, gradients, targets and weights of each rank."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorded: dict[str, list[Any]] = {
            "batch": [],
            "gradients": [],
            "target": [],
        }

    def on_before_optimizer_step(
        self,
        trainer: Trainer,
        pl_module: Any,
        optimizer: object,
    ) -> None:
        trained = [p for p in pl_module.student.parameters() if p.requires_grad]
        gradients = [p.grad.clone() for p in trained]
        self.recorded["gradients"].append(gradients)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.recorded["batch"].append(copy.deepcopy(batch))
        if "target" in outputs:
            self.recorded["target"].append(outputs["target"].clone())

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        states = {
            "student": pl_module.student.state_dict(),
            "teacher": pl_module.teacher.state_dict(),
            "scores": dict(trainer.callback_metrics),
        }
        torch.save(self.recorded | states, self.folder / f"{trainer.global_rank}.pt")


def fit(tmp_path: Path, module: Any, data: Any, **options: Any) -> list[Any]:
    """Train in two processes; return the records of both ranks."""
    callbacks = [Recorder(tmp_path), *options.pop("callbacks", [])]
    trainer = tiny.trainer(
        devices=2,
        strategy="ddp_fork",  # unused parameters would be an error
        callbacks=callbacks,
        **{"max_steps": 50, "limit_val_batches": 0, **options},
    )
    seed_everything(0, verbose=False)
    trainer.fit(module, data)
    return [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]


def module(**options: Any) -> ClassMix:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "labeled_only_steps": 1}
    return ClassMix(tiny.CLASSES, **defaults | options)


def test_both_ranks_have_the_same_teacher_and_draw_different_masks(
    tmp_path: Path,
) -> None:
    first, second = fit(tmp_path, module(), tiny.data(labeled=8, unlabeled=20))
    parameters = [name for name, _ in module().teacher.named_parameters()]
    for name in parameters:
        assert first["teacher"][name].equal(second["teacher"][name]), name
    assert len(first["target"]) == 49
    pairs = zip(first["target"], second["target"], strict=True)
    assert not any(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("accumulate", "mode"), [(1, "train"), (2, "train"), (1, "eval")]
)
def test_both_ranks_have_the_same_batch_norm_statistics_in_the_teacher(
    tmp_path: Path, accumulate: int, mode: str
) -> None:
    data = tiny.data(labeled=8, unlabeled=20)
    options = {"max_steps": 6, "accumulate_grad_batches": accumulate}
    first, second = fit(tmp_path, module(teacher_mode=mode), data, **options)
    assert any("running_mean" in name for name in first["teacher"])
    for name, value in first["teacher"].items():
        assert value.equal(second["teacher"][name]), name


def test_the_teacher_takes_the_statistics_of_the_first_rank(tmp_path: Path) -> None:
    # The first update copies the student, whose statistics differ between the ranks.
    first, second = fit(tmp_path, module(), tiny.data(), max_steps=1)
    names = [name for name in first["student"] if "running" in name]
    assert names
    for name in names:
        expected = first["student"][name]
        assert not expected.equal(second["student"][name]), name
        for rank in (first, second):
            assert rank["teacher"][f"network.{name}"].equal(expected), name


def test_all_ranks_take_the_base_seed_of_the_first(tmp_path: Path) -> None:
    class OwnSeed(Callback):
        def setup(self, trainer: Trainer, *_: Any, **__: Any) -> None:
            torch.manual_seed(100 + trainer.global_rank)

        def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
            path = tmp_path / f"{trainer.global_rank}.txt"
            path.write_text(str(pl_module.base_seed))

    fit(tmp_path, module(), tiny.data(), max_steps=1, callbacks=[OwnSeed()])
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["100"] * 2


def test_a_nan_loss_on_one_rank_stops_both_ranks(tmp_path: Path) -> None:
    class NaNOnRankOne(FiniteLoss):
        def check(self, trainer: Trainer, tensors: dict[str, Tensor]) -> None:
            if (trainer.global_rank, trainer.global_step) == (1, 3):
                tensors = {"train_loss": torch.tensor(torch.nan)}
            try:
                super().check(trainer, tensors)
            except FloatingPointError as error:
                (tmp_path / f"{trainer.global_rank}.txt").write_text(str(error))
                # A rank that fails kills the other, which must write its file first.
                time.sleep(0.5)
                raise

    data = tiny.data(labeled=8, unlabeled=20)
    options = {"log_every_n_steps": 3, "callbacks": [NaNOnRankOne()]}
    with pytest.raises(Exception, match="losses must be finite"):
        fit(tmp_path, module(), data, **options)
    assert "others on another device at step 3" in (tmp_path / "0.txt").read_text()
    assert "train_loss nan at step 3" in (tmp_path / "1.txt").read_text()


def test_masks_differ_between_ranks_even_for_the_same_images() -> None:
    label = torch.arange(4).repeat(2, 4, 1) % tiny.CLASSES
    masks = []
    for rank in (0, 1):
        model = module()
        model._trainer = type("Rank", (), {"global_rank": rank, "current_epoch": 0})()
        with model.random_stream(5):
            masks.append(torch.stack([model.mixer(label) for _ in range(8)]))
    assert not masks[0].equal(masks[1])


class TwoHeads(nn.Module):
    """A network with an auxiliary head, as those of torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = tiny.network()
        self.classifier = nn.Conv2d(tiny.CLASSES, tiny.CLASSES, 1)
        self.aux_classifier = nn.Conv2d(tiny.CLASSES, tiny.CLASSES, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)
        return {"out": self.classifier(features), "aux": self.aux_classifier(features)}


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_an_auxiliary_head_is_frozen_or_trained(tmp_path: Path, weight: float) -> None:
    network = TwoHeads()
    start = network.aux_classifier.weight.clone()
    model = module(network=network, aux_weight=weight)
    first, second = fit(tmp_path, model, tiny.data(), max_steps=3)
    key = "network.aux_classifier.weight"
    assert first["student"][key].equal(start) is (weight == 0)
    assert first["student"][key].equal(second["student"][key])


def test_gradients_are_the_mean_of_the_gradients_of_both_ranks(tmp_path: Path) -> None:
    def deterministic_module() -> ClassMix:
        seed_everything(0, verbose=False)
        model = module(
            network=tiny.network(norm=False), labeled_only_steps=0, ramp_steps=0
        )
        left = torch.arange(8) < 4
        model.mixer = lambda label: left.expand(label.shape)
        model.augment = nn.Identity()
        return model

    ranks = fit(tmp_path, deterministic_module(), tiny.data(), max_steps=1)
    gradients = []
    for rank in ranks:
        single = deterministic_module()
        torch.autograd.backward(single.training_step(rank["batch"][0], 0)["loss"])
        gradients.append([_gradient(p) for p in single.student.parameters()])
    for index, pair in enumerate(zip(*gradients, strict=True)):
        for rank in ranks:
            expected = (pair[0] + pair[1]) / 2
            torch.testing.assert_close(rank["gradients"][0][index], expected)
    assert not gradients[0][0].equal(gradients[1][0])


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def test_ranks_read_disjoint_labeled_images_in_a_new_order_in_every_pass(
    tmp_path: Path,
) -> None:
    ranks = fit(tmp_path, module(), tiny.data(labeled=8, unlabeled=20), max_steps=20)
    pixels = torch.stack(
        [
            torch.stack([b["labeled"]["image"][:, 0, 0, 0] for b in rank["batch"]])
            for rank in ranks
        ]
    )  # (rank, step, image): two steps of two images on two ranks make a pass
    passes = pixels.transpose(0, 1).reshape(10, 8)
    assert all(len(set(order.tolist())) == 8 for order in passes)
    assert len({tuple(order.tolist()) for order in passes}) == 10


class ProcessIds:
    """Data set whose images hold the id of the process that reads them."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = torch.full((3, 4, 4), os.getpid() / 2**22)  # in the range of images
        return image, torch.zeros(4, 4, dtype=torch.long)


@pytest.mark.slow
def test_workers_of_each_rank_are_started_once(tmp_path: Path) -> None:
    data = SemiSupervisedDataModule(
        ProcessIds(), ProcessIds(), batch_size=2, num_workers=1, steps_per_epoch=3
    )
    ranks = fit(tmp_path, module(), data, max_steps=12)
    for part in ("labeled", "unlabeled"):
        workers = [
            {b[part]["image"].flatten()[0].item() for b in rank["batch"]}
            for rank in ranks
        ]
        assert [len(ids) for ids in workers] == [1, 1]
        assert workers[0] != workers[1]


@pytest.mark.parametrize("images", [2, 5])
def test_scores_of_two_processes_equal_those_of_one(images: int) -> None:
    def data() -> SemiSupervisedDataModule:
        pairs = tiny.pairs(images, seed=2)
        return SemiSupervisedDataModule(
            tiny.pairs(4), val=pairs, test=pairs, batch_size=2
        )

    model = module()
    for method in ("validate", "test"):
        (single,) = getattr(tiny.trainer(), method)(model, data(), verbose=False)
        trainer = tiny.trainer(devices=2, strategy="ddp_fork")
        (together,) = getattr(trainer, method)(model, data(), verbose=False)
        assert single.keys() == together.keys()
        for key in single:
            assert together[key] == pytest.approx(single[key], rel=1e-6), key


def test_fewer_validation_images_than_devices_are_refused() -> None:
    data = SemiSupervisedDataModule(tiny.pairs(4), val=tiny.pairs(1), batch_size=2)
    trainer = tiny.trainer(devices=2, strategy="ddp_fork")
    with pytest.raises(Exception, match="an image for each of 2 devices, got 1"):
        trainer.validate(module(), data, verbose=False)


def test_scores_of_a_fit_equal_those_of_its_checkpoint(tmp_path: Path) -> None:
    checkpoints = ModelCheckpoint(tmp_path, "kept")
    ranks = fit(
        tmp_path,
        module(lr=0.1),
        tiny.data(),
        max_steps=6,
        limit_val_batches=1.0,
        val_check_interval=1,
        callbacks=[checkpoints],
        enable_checkpointing=True,
    )
    assert ranks[0]["scores"]["val_miou"] == ranks[1]["scores"]["val_miou"]
    saved = ClassMix.load_from_checkpoint(
        tmp_path / "kept.ckpt", network=tiny.network()
    )
    (single,) = tiny.trainer().validate(saved, tiny.data(), verbose=False)
    for key in ("val_miou_student", "val_miou_teacher", "val_loss"):
        assert ranks[0]["scores"][key].item() == pytest.approx(single[key], rel=1e-5)


def test_a_teacher_with_synchronized_batch_norm_labels_without_collectives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = module(teacher_mode="eval")
    converted: Any = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    assert isinstance(converted.teacher, Teacher)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in converted.teacher.modules())
    for name in ("all_gather", "all_gather_into_tensor", "all_reduce", "broadcast"):
        monkeypatch.delattr(torch.distributed, name)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        converted.train()
        with converted.teacher.labeling():
            logits = converted.teacher(torch.randn(2, 3, 8, 8))
    finally:
        torch.distributed.destroy_process_group()
    assert logits.shape == (2, tiny.CLASSES, 8, 8)
    assert issubclass(type(converted), Supervised)


class SavedCounts(PredictionWriter):
    """Save the counts and faults of each rank."""

    def on_predict_end(self, trainer: Trainer, pl_module: Any) -> None:
        super().on_predict_end(trainer, pl_module)
        path = self.predictions.parent / f"{trainer.global_rank}.pt"
        torch.save((self.written, self.faults), path)


def test_every_rank_has_the_count_and_the_faults_of_all_ranks(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", unlabeled=7)
    (root / "unlabeled/u3.png").write_bytes(b"no image")
    data = FolderDataModule(root, num_workers=0)
    trainer = tiny.trainer(
        devices=2, strategy="ddp_fork", callbacks=[SavedCounts(str(tmp_path))]
    )
    trainer.predict(
        Supervised(3, network=tiny.network()), data, return_predictions=False
    )
    for rank in (0, 1):
        written, faults = torch.load(tmp_path / f"{rank}.pt")
        assert written == 6
        assert ["u3.png" in fault for fault in faults] == [True]
    assert len(list((tmp_path / "predictions/labels").iterdir())) == 6
