"""The steps of `EMATeacher` one by one, without or around a fit."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, seed_everything
from torch import Tensor, nn

from lightning_classmix import ClassMix, EMATeacher
from lightning_classmix.callbacks import ema_teacher
from lightning_classmix.models.teacher import Teacher
from tests import tiny


def module(seed: int = 0, **options: Any) -> Any:
    seed_everything(seed, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(),
        "labeled_only_steps": 1,
        "lr": 0.1,
    }
    return ClassMix(tiny.CLASSES, **defaults | options)


class ForeignModule(LightningModule):
    """A module of another package, whose teacher is a plain network."""

    def __init__(self, optimized: str = "student") -> None:
        super().__init__()
        self.student = tiny.network()
        self.teacher = tiny.network()
        self.optimized = optimized

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        image = batch["labeled"]["image"].to(self.student[0].weight)
        loss: Tensor = self.student(image).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        network: nn.Module = getattr(self, self.optimized)
        return torch.optim.SGD(network.parameters(), lr=0.1)


def fit(model: Any, callback: EMATeacher, steps: int = 2, **options: Any) -> Any:
    trainer = tiny.trainer(max_steps=steps, callbacks=[callback], **options)
    trainer.fit(model, train_dataloaders=tiny.loader(*[tiny.batch()] * 4))
    return trainer


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    place = f"file://{tmp_path}/process_group"
    dist.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def buffers() -> dict[str, Tensor]:
    return {
        "mean": torch.zeros(2, 3),
        "count": torch.tensor(5),
        "var": torch.zeros(4),
    }


@pytest.mark.usefixtures("one_process")
def test_float_buffers_are_those_of_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    sources: list[int] = []

    def broadcast(values: Tensor, *, src: int) -> None:
        sources.append(src)
        values.copy_(torch.arange(len(values)))

    monkeypatch.setattr(dist, "broadcast", broadcast)
    received = ema_teacher._broadcast_floats(buffers())
    assert sources == [0]
    assert received.keys() == {"mean", "var"}
    assert received["mean"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert received["var"].tolist() == [6, 7, 8, 9]


@pytest.mark.usefixtures("one_process")
def test_the_float_buffers_of_rank_0_itself_do_not_change() -> None:
    received = ema_teacher._broadcast_floats({"mean": torch.tensor([1.0, 2.0])})
    assert received["mean"].tolist() == [1, 2]
    assert ema_teacher._broadcast_floats({"count": torch.tensor(5)}) == {}


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("averaged", [True, False])
def test_an_update_averages_the_buffers_of_rank_0(
    averaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dist, "broadcast", lambda values, src: values.fill_(8.0))
    student, teacher = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    callback = EMATeacher(0.5, average_buffers=averaged)
    callback.updates = 9
    callback._update(student, teacher)
    mean: Any = teacher.running_mean
    assert mean.tolist() == ([4, 4] if averaged else [0, 0])


def test_without_a_process_group_no_buffers_are_exchanged() -> None:
    assert ema_teacher._broadcast_floats(buffers()) == {}


def test_integer_buffers_are_copied() -> None:
    student, teacher = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    student.num_batches_tracked = torch.tensor(7)
    callback = EMATeacher(0.9)
    callback.updates = 99
    callback._update(student, teacher)
    assert teacher.num_batches_tracked == 7


def test_averages_are_kept_outside_of_the_teacher_only_where_it_cannot_hold_them() -> (
    None
):
    callback = EMATeacher()
    callback._keep_averages(tiny.network())
    assert {*callback._averages} == {"1.running_mean", "1.running_var"}
    callback._keep_averages(tiny.network().bfloat16())
    assert len(callback._averages) == 6 + 2
    assert {value.dtype for value in callback._averages.values()} == {torch.float32}
    callback.average_buffers = False
    callback._keep_averages(tiny.network().double())
    assert callback._averages == {}


def test_averages_are_kept_at_the_width_and_on_the_device_of_the_teacher() -> None:
    callback = EMATeacher()
    network = nn.BatchNorm1d(2)
    callback._averages = {"running_mean": torch.tensor([1.0, 2.0])}
    callback._keep_averages(network)
    kept = callback._averages
    assert kept["running_mean"].tolist() == [1, 2]
    assert kept["running_var"].tolist() == [1, 1]
    assert kept["running_var"] is not network.running_var
    callback._keep_averages(nn.BatchNorm1d(2, dtype=torch.float64, device="meta"))
    layouts = {(v.dtype, v.device.type) for v in callback._averages.values()}
    assert layouts == {(torch.float64, "meta")}


def test_a_step_that_loss_scaling_skips_is_no_step() -> None:
    callback = EMATeacher()
    optimizer: Any = SimpleNamespace()
    for found_inf, stepped in ((1.0, False), (0.0, True), (1.0, True)):
        optimizer.found_inf = torch.tensor([found_inf])
        callback._on_step(optimizer)
        assert callback._stepped is stepped
    callback._stepped = False
    callback._on_step(SimpleNamespace())  # type: ignore[arg-type]
    assert callback._stepped is True


@pytest.mark.parametrize("wrapped", [False, True])
def test_steps_of_every_optimizer_are_noted_until_the_end_of_the_run(
    wrapped: bool,
) -> None:
    model, callback = ForeignModule(), EMATeacher()
    optimizers: list[Any] = [
        torch.optim.SGD(part.parameters()) for part in model.student if part is not None
    ]
    given = [
        SimpleNamespace(optimizer=each, param_groups=each.param_groups)
        if wrapped
        else each
        for each in optimizers
    ]
    trainer: Any = SimpleNamespace(optimizers=given)
    for _ in range(2):  # the second time after a learning rate finder
        callback._stepped = True
        callback.on_train_start(trainer, model)
        assert callback._stepped is False
        assert [len(o._optimizer_step_post_hooks) for o in optimizers] == [1] * 3
    for optimizer in optimizers:
        callback._stepped = False
        optimizer.step()
        assert callback._stepped
    callback.teardown(trainer, model, "fit")
    assert not any(o._optimizer_step_post_hooks for o in optimizers)


def test_a_batch_without_a_step_changes_nothing() -> None:
    model, callback = ForeignModule(), EMATeacher()
    before = [value.clone() for value in model.teacher.parameters()]
    callback.on_train_batch_end(None, model, None, None, 0)  # type: ignore[arg-type]
    assert callback.updates == 0
    callback._stepped = True
    callback.on_train_batch_end(None, model, None, None, 0)  # type: ignore[arg-type]
    callback.on_train_batch_end(None, model, None, None, 1)  # type: ignore[arg-type]
    assert callback.updates == 1
    after = [*model.teacher.parameters()]
    assert not all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_settings_are_checked_before_a_fit_only(stage: str) -> None:
    callback = EMATeacher()
    trainer: Any = SimpleNamespace(strategy=None, callbacks=[callback, EMATeacher()])
    if stage == "fit":
        with pytest.raises(ValueError, match="must hold one teacher, got EMATeacher"):
            callback.setup(trainer, ForeignModule(), stage)
    else:
        callback.setup(trainer, ForeignModule(), stage)
    callback.teardown(trainer, ForeignModule(), stage)


def test_an_optimizer_of_the_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the student's .* got the teacher's 0\.weig"):
        fit(ForeignModule("teacher"), EMATeacher())


def test_a_second_fit_of_one_trainer_goes_on_with_its_teacher() -> None:
    model, callback = module(), EMATeacher()
    trainer = tiny.trainer(max_steps=3, callbacks=[callback])
    trainer.fit(model, tiny.data())
    trainer.fit_loop.epoch_loop.max_steps = 5
    before = [value.clone() for value in model.teacher.parameters()]
    callback.on_fit_start(trainer, model)
    after = [*model.teacher.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert callback.updates == 3


def test_a_new_run_begins_anew_with_the_callback_of_an_earlier_run() -> None:
    callback = EMATeacher()
    tiny.trainer(max_steps=3, callbacks=[callback]).fit(
        module(), tiny.data(labeled=8), ckpt_path=None
    )
    assert callback.updates == 3
    model = module(seed=1)
    with torch.no_grad():
        model.student.network[1].running_mean.fill_(5.0)
    trainer: Any = SimpleNamespace(global_step=0, ckpt_path=None)
    callback.on_fit_start(trainer, model)
    assert callback.updates == 0
    assert (callback._averages["network.1.running_mean"] == 5.0).all()
    assert (model.teacher.network.network[1].running_mean == 5.0).all()


def test_a_run_resumed_at_step_0_keeps_the_teacher_of_its_checkpoint() -> None:
    model, callback = module(), EMATeacher()
    with torch.no_grad():
        model.teacher.network.network[0].weight.fill_(3.0)
    trainer: Any = SimpleNamespace(global_step=0, ckpt_path="start.ckpt")
    callback.on_fit_start(trainer, model)
    assert (model.teacher.network.network[0].weight == 3.0).all()


@pytest.mark.filterwarnings("ignore:.*bf16-true")
@pytest.mark.parametrize("kind", ["plain", "wrapped"])
def test_wide_averages_are_saved_under_the_names_of_the_teacher_and_read_again(
    kind: str, tmp_path: Path
) -> None:
    model = ForeignModule()
    prefix = "teacher."
    if kind == "wrapped":
        model.teacher = Teacher(model.student)  # type: ignore[assignment]
        prefix = "teacher.network."
    callback = EMATeacher()
    trainer = fit(model, callback, precision="bf16-true")
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    checkpoint = torch.load(tmp_path / "run.ckpt", weights_only=True)
    state = checkpoint["state_dict"]
    names = {*dict(model.student.named_parameters())}
    names |= {"1.running_mean", "1.running_var"}
    assert {*callback._averages} == names
    assert state.keys() == model.state_dict().keys()
    for name in names:
        assert state[prefix + name].dtype == torch.float32
        assert torch.equal(state[prefix + name], callback._averages[name])
    assert state["student.0.weight"].dtype == torch.bfloat16

    other = EMATeacher()
    other.on_load_checkpoint(trainer, model, checkpoint)
    assert names <= {*other._averages}
    assert {*other._averages} <= {*model.student.state_dict()}
    assert torch.equal(other._averages["0.weight"], callback._averages["0.weight"])


def test_the_number_of_updates_is_the_state_of_the_callback() -> None:
    callback = EMATeacher()
    callback.updates = 12
    assert callback.state_dict() == {"updates": 12}
    other = EMATeacher()
    other.load_state_dict(callback.state_dict())
    assert other.updates == 12


def test_a_module_without_networks_is_refused() -> None:
    with pytest.raises(TypeError, match="a student and a teacher of the same"):
        EMATeacher().on_fit_start(None, LightningModule())  # type: ignore[arg-type]


def test_the_teacher_of_another_package_averages_its_buffers() -> None:
    # A plain network has no mode: its buffers follow the argument, or are averaged.
    for given, kept in ((None, True), (True, True), (False, False)):
        callback = EMATeacher(average_buffers=given)
        trainer: Any = SimpleNamespace(global_step=0, ckpt_path=None)
        callback.on_fit_start(trainer, ForeignModule())
        names = callback._tensors(nn.BatchNorm1d(2)).keys()
        assert ("running_mean" in names) is kept
