"""The teacher is updated once per optimizer step under all Trainer options."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.plugins import MixedPrecision

from lightning_classmix import ClassMix, EMATeacher
from tests import tiny

pytestmark = pytest.mark.usefixtures("accelerator")


class Counts(Callback):
    """Count optimizer steps, and changes of the teacher's weights."""

    def __init__(self) -> None:
        self.steps = self.changes = 0
        self.copied = False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.before = pl_module.teacher.network.network[0].weight.clone()
        (optimizer,) = trainer.optimizers
        optimizer.register_step_post_hook(self.count_step)

    def count_step(self, *_: object) -> None:
        self.steps += 1

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        weight = pl_module.teacher.network.network[0].weight.clone()
        self.changes += not weight.equal(self.before)
        self.before = weight
        if self.steps == self.changes == 1:
            self.copied |= weight.equal(pl_module.student.network[0].weight)


def fit(**options: Any) -> tuple[Counts, EMATeacher, Trainer]:
    seed_everything(0, verbose=False)
    counts, teacher = Counts(), EMATeacher()
    module = ClassMix(
        tiny.CLASSES, network=tiny.network(), labeled_only_steps=2, lr=0.1
    )
    trainer = tiny.trainer(
        callbacks=[teacher, counts], **{"max_steps": -1, "max_epochs": 2, **options}
    )
    trainer.fit(module, tiny.data(labeled=6, unlabeled=14))  # 7 batches per epoch
    return counts, teacher, trainer


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 14),
        ({"accumulate_grad_batches": 4}, 4),  # 4 and 3 batches, twice
        ({"accumulate_grad_batches": 4, "max_epochs": -1, "max_steps": 3}, 3),
        ({"accumulate_grad_batches": 7}, 2),
        ({"gradient_clip_val": 0.5}, 14),
        ({"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}, 14),
        ({"max_epochs": -1, "max_steps": 9}, 9),
        ({"max_epochs": 3}, 21),
        ({"limit_train_batches": 3}, 6),
        ({"limit_train_batches": 0.5}, 6),
        ({"val_check_interval": 2}, 14),
        ({"val_check_interval": 0.5}, 14),
        ({"val_check_interval": 5, "check_val_every_n_epoch": None}, 14),
        ({"overfit_batches": 2}, 4),
        ({"fast_dev_run": 3}, 3),
        ({"fast_dev_run": True}, 1),
        ({"detect_anomaly": True}, 14),
        ({"barebones": True}, 14),
        ({"inference_mode": False}, 14),
        ({"reload_dataloaders_every_n_epochs": 1}, 14),
        ({"limit_val_batches": 0}, 14),
        ({"num_sanity_val_steps": 0}, 14),
        ({"deterministic": True}, 14),
        ({"precision": "bf16-mixed"}, 14),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:You are running in.*barebones")
@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_the_teacher_is_updated_once_per_optimizer_step(
    options: dict[str, Any], steps: int
) -> None:
    if options.get("barebones"):
        disabled = ("logger", "enable_checkpointing", "enable_progress_bar")
        options = dict.fromkeys(disabled, False) | options
    counts, teacher, trainer = fit(**options)
    assert counts.steps == counts.changes == teacher.updates == trainer.global_step
    assert counts.steps == steps


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_step_that_loss_scaling_skips_does_not_update_the_teacher() -> None:
    # 2 ** 22 overflows the gradients of half precision until it is halved often enough.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    counts, teacher, trainer = fit(plugins=[plugin], accumulate_grad_batches=1)
    assert trainer.global_step == 14
    assert 0 < counts.steps < 14
    assert counts.steps == counts.changes == teacher.updates
    # The first update copies the student, even if steps were skipped before it.
    assert counts.copied


def test_a_step_that_a_fused_optimizer_skips_does_not_update_the_teacher() -> None:
    callback = EMATeacher()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
    for found_inf, stepped in ((1.0, False), (0.0, True)):
        # The gradient scaler sets this on optimizers that unscale by themselves.
        optimizer.found_inf = torch.tensor(found_inf)  # type: ignore[attr-defined]
        callback._on_step(optimizer)
        assert callback._stepped is stepped


def test_optimizer_hooks_are_removed_when_a_fit_ends() -> None:
    _, teacher, trainer = fit(max_epochs=1)
    assert not teacher._hooks
    updates = teacher.updates
    trainer.optimizers[0].step()
    assert teacher.updates == updates
    assert not teacher._stepped


def test_optimizer_hooks_are_removed_when_a_fit_fails() -> None:
    class Failure(Callback):
        def on_train_batch_end(self, *_: object) -> None:
            raise RuntimeError("on purpose")

    teacher = EMATeacher()
    trainer = tiny.trainer(callbacks=[teacher, Failure()])
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.fit(ClassMix(tiny.CLASSES, network=tiny.network()), tiny.data())
    assert not teacher._hooks
