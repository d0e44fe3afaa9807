import operator
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, seed_everything
from torch import Tensor, nn

from lightning_classmix import ClassMix, EMATeacher
from lightning_classmix.models.teacher import Teacher
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(),
        "labeled_only_steps": 1,
        "lr": 0.1,
    }
    return ClassMix(tiny.CLASSES, **defaults | options)


def float64_state(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.double() for key, value in network.state_dict().items()}


class Reference(Callback):
    """Average the student by the formula in float64, at every optimizer step."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.changes: list[bool] = []
        self.errors: list[float] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.average = float64_state(pl_module.student)
        self.teacher = float64_state(pl_module.teacher.network)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step > self.steps:
            decay = min(1 - 1 / (self.steps + 1), self.decay)
            for key, value in pl_module.student.state_dict().items():
                share = decay if value.is_floating_point() else 0.0
                self.average[key] = share * self.average[key] + (1 - share) * value
            self.steps += 1
        teacher = float64_state(pl_module.teacher.network)
        self.changes.append(
            any(not torch.equal(teacher[k], self.teacher[k]) for k in teacher)
        )
        self.errors += [
            float((teacher[k] - self.average[k]).abs().max()) for k in teacher
        ]
        self.teacher = teacher


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_teacher_is_the_average_of_parameters_and_batch_norm_statistics(
    mode: str,
) -> None:
    reference = Reference(decay=0.9)
    callback = EMATeacher(0.9, average_buffers=True)
    trainer = tiny.trainer(max_steps=20, callbacks=[callback, reference])
    trainer.fit(module(teacher_mode=mode), tiny.data())
    assert reference.steps == 20
    assert max(reference.errors) < 1e-5


def test_the_teacher_is_updated_once_per_optimizer_step_under_accumulation() -> None:
    reference = Reference(decay=0.9)
    options = {"max_steps": -1, "max_epochs": 1, "accumulate_grad_batches": 2}
    trainer = tiny.trainer(callbacks=[EMATeacher(0.9), reference], **options)
    model = module(teacher_mode="eval")
    trainer.fit(model, tiny.data())  # the last step has a single batch
    assert reference.changes == [False, True, False, True, True]
    assert max(reference.errors) < 1e-5


def test_the_first_update_copies_the_student() -> None:
    model = module()
    tiny.trainer(max_steps=1).fit(model, tiny.data())
    student, teacher = model.student.state_dict(), model.teacher.network.state_dict()
    assert all(torch.equal(student[key], teacher[key]) for key in student)


def test_the_teacher_is_a_copy_of_the_student_when_a_fit_starts() -> None:
    model = module()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.fill_(7.0)
    equal: list[bool] = []

    class CompareNetworks(Callback):
        def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
            student = pl_module.student.state_dict()
            teacher = pl_module.teacher.network.state_dict()
            equal.append(
                all(torch.equal(student[key], teacher[key]) for key in student)
            )

    tiny.trainer(callbacks=[CompareNetworks()]).fit(model, tiny.data())
    assert equal == [True]


def test_without_average_buffers_only_parameters_are_averaged() -> None:
    model = module(teacher_mode="train")
    reference = Reference(decay=0.9)
    callbacks = [EMATeacher(0.9, average_buffers=False), reference]
    tiny.trainer(max_steps=6, callbacks=callbacks).fit(model, tiny.data())
    teacher = float64_state(model.teacher.network)
    average = reference.average
    parameters = {key for key, _ in model.teacher.network.named_parameters()}
    for key in teacher:
        close = torch.allclose(teacher[key], average[key], atol=1e-5)
        assert close == (key in parameters)


def test_average_buffers_false_is_refused_for_a_teacher_in_eval_mode() -> None:
    trainer = tiny.trainer(callbacks=[EMATeacher(average_buffers=False)])
    with pytest.raises(ValueError, match=r"average_buffers must be True .* got False"):
        trainer.fit(module(teacher_mode="eval"), tiny.data())
    trainer = tiny.trainer(callbacks=[EMATeacher(average_buffers=False)])
    trainer.fit(module(network=tiny.network(norm=False)), tiny.data())


class ForeignModule(LightningModule):
    """A module of another package, with a student and a teacher."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.student = tiny.network()
        self.teacher = teacher

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.student(batch["labeled"]["image"]).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.student.parameters(), lr=0.1)


def test_the_callback_updates_the_teacher_of_a_module_of_another_package() -> None:
    model = ForeignModule(tiny.network())
    trainer = tiny.trainer(max_steps=1, callbacks=[EMATeacher()])
    trainer.fit(model, train_dataloaders=tiny.loader(tiny.batch()))
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert all(torch.equal(student[key], teacher[key]) for key in student)


def test_the_average_of_half_precision_weights_is_kept_in_float32() -> None:
    callback = EMATeacher(decay=0.999)
    callback.updates = 10_000
    student = nn.Linear(1, 1, bias=False).bfloat16()
    teacher: Any = Teacher(student).network
    with torch.no_grad():
        student.weight.fill_(1.0)
        teacher.weight.fill_(0.5)
    callback._keep_averages(teacher)
    for _ in range(1000):
        callback._update(student, teacher)
    # In bfloat16, 0.5 + 0.001 * 0.5 is rounded to 0.5: the average would not change.
    assert teacher.weight.item() == pytest.approx(1 - 0.5 * 0.999**1000, abs=0.01)


def test_averages_of_a_bfloat16_run_are_saved_and_resumed_in_float32(
    tmp_path: Path,
) -> None:
    model, callback = module(), EMATeacher(0.99)
    options = {"max_steps": 6, "precision": "bf16-true"}
    trainer = tiny.trainer(callbacks=[callback], **options)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    state = torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"]
    average = callback._averages["network.0.weight"]
    assert average.dtype == torch.float32
    assert torch.equal(state["teacher.network.network.0.weight"], average)
    assert state["student.network.0.weight"].dtype == torch.bfloat16
    assert not torch.equal(average, average.bfloat16().float())

    resumed = EMATeacher(0.99)
    trainer = tiny.trainer(callbacks=[resumed], **options)
    trainer.fit(module(), tiny.data(), ckpt_path=str(tmp_path / "run.ckpt"))
    assert resumed.updates == 6
    assert torch.equal(resumed._averages["network.0.weight"], average)


def test_teacher_parameters_need_no_gradient_and_are_in_no_optimizer() -> None:
    model = module()
    model.unfreeze()
    trainer = tiny.trainer()
    trainer.fit(model, tiny.data())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    trained = {
        id(parameter)
        for group in trainer.optimizers[0].param_groups
        for parameter in group["params"]
    }
    assert trained == {id(parameter) for parameter in model.student.parameters()}


def test_the_student_is_in_train_mode_during_a_fit_after_eval_was_called() -> None:
    model = module().eval()
    modes: list[bool] = []

    class StudentMode(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            modes.append(all(layer.training for layer in pl_module.student.modules()))

    options = {"val_check_interval": 1, "max_steps": 4}
    tiny.trainer(callbacks=[StudentMode()], **options).fit(model, tiny.data())
    assert modes == [True] * 4


def test_a_resumed_run_keeps_its_teacher_and_its_number_of_updates(
    tmp_path: Path,
) -> None:
    trainer = tiny.trainer(max_steps=3, callbacks=[EMATeacher(0.99)])
    trainer.fit(module(), tiny.data())
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    whole = module()
    tiny.trainer(max_steps=6, callbacks=[EMATeacher(0.99)]).fit(whole, tiny.data())

    resumed, callback = module(), EMATeacher(0.99)
    trainer = tiny.trainer(max_steps=6, callbacks=[callback])
    trainer.fit(resumed, tiny.data(), ckpt_path=str(tmp_path / "half.ckpt"))
    assert callback.updates == 6
    # The teacher of the checkpoint must not be replaced by a copy of the student.
    student, teacher = (
        resumed.student.state_dict(),
        resumed.teacher.network.state_dict(),
    )
    assert any(not torch.equal(student[key], teacher[key]) for key in student)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_outside_its_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got"):
        EMATeacher(decay)


def test_a_module_without_a_teacher_of_the_same_architecture_is_refused() -> None:
    from lightning_classmix import Supervised

    model = Supervised(tiny.CLASSES, network=tiny.network())
    with pytest.raises(TypeError, match="the same architecture, got Supervised"):
        tiny.trainer(callbacks=[EMATeacher()]).fit(model, tiny.data())
    different = ForeignModule(nn.Conv2d(3, 3, 1))
    with pytest.raises(TypeError, match="the same architecture, got ForeignModule"):
        tiny.trainer(callbacks=[EMATeacher()]).fit(different, tiny.loader(tiny.batch()))


def test_the_default_decay_is_that_of_the_authors() -> None:
    assert EMATeacher().decay == 0.99


MODES = pytest.mark.parametrize("mode", ["eval", "train"])


def statistics(mode: Any, *, labeled_only_steps: int) -> tuple[Any, Any, Any]:
    """Return the module after one step, and running means of student and teacher."""
    model = module(
        network=tiny.network(), teacher_mode=mode, labeled_only_steps=labeled_only_steps
    )
    tiny.trainer(max_steps=1, callbacks=[EMATeacher()]).fit(model, tiny.data())
    student, teacher = (
        next(b for n, b in net.named_buffers() if n.endswith("running_mean"))
        for net in (model.student, model.teacher)
    )
    return model, student, teacher


@MODES
def test_batch_norm_statistics_are_averaged_until_the_teacher_labels(mode: str) -> None:
    _, student, teacher = statistics(mode, labeled_only_steps=1)
    assert student.abs().sum() > 0
    assert torch.equal(student, teacher)


@MODES
def test_a_teacher_keeps_the_statistics_that_it_collects(mode: str) -> None:
    model, student, teacher = statistics(mode, labeled_only_steps=0)
    names = (
        set() if mode == "eval" else {name for name, _ in model.student.named_buffers()}
    )
    assert model.teacher.collected == names
    assert torch.equal(student, teacher) is (mode == "eval")
    assert teacher.abs().sum() > 0


def test_buffers_are_averaged_again_in_a_new_fit() -> None:
    model, _, _ = statistics("train", labeled_only_steps=0)
    model.labeled_only_steps = 1
    tiny.trainer(max_steps=1, callbacks=[EMATeacher()]).fit(model, tiny.data())
    assert model.teacher.collected == frozenset()
    assert all(
        torch.equal(*pair)
        for pair in zip(model.student.buffers(), model.teacher.buffers(), strict=True)
    )


class Failure(Callback):
    """Raise an error in one of the Trainer's hooks."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.fail)

    def fail(self, *_: object, **__: object) -> None:
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("hook", [None, "setup", "on_fit_start", "on_train_batch_end"])
def test_the_warning_filters_are_restored_after_a_fit_or_an_error(
    hook: str | None,
) -> None:
    filters, before = warnings.filters, [*warnings.filters]
    model = module()
    if hook is None:
        tiny.trainer().fit(model, tiny.data())
    else:
        trainer = tiny.trainer(callbacks=[EMATeacher(), Failure(hook)])
        with pytest.raises(RuntimeError, match="on purpose"):
            trainer.fit(model, tiny.data())
    assert warnings.filters is filters
    assert len(filters) == len(before)
    assert all(map(operator.is_, filters, before))


def test_a_fit_does_not_warn_that_the_teacher_is_in_eval_mode() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tiny.trainer().fit(module(), tiny.data())
    assert not [each for each in caught if "in eval mode" in str(each.message)]
