"""Strategies and callbacks that break `EMATeacher` are refused before training."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    StochasticWeightAveraging,
)
from lightning.pytorch.strategies import (
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
)

from lightning_classmix import ClassMix, EMATeacher
from lightning_classmix.callbacks import ema_teacher
from lightning_classmix.callbacks.compatibility import check_strategy
from tests import tiny


def module(kind: type[ClassMix] = ClassMix) -> ClassMix:
    return kind(tiny.CLASSES, network=tiny.network())


def stub(kind: type, **attributes: Any) -> Any:
    """Make a strategy that was not initialized, with some attributes."""
    strategy: Any = object.__new__(kind)
    strategy.__dict__.update(attributes)
    return strategy


@pytest.mark.parametrize(
    "strategy",
    [
        stub(FSDPStrategy),
        stub(ModelParallelStrategy),
        stub(DeepSpeedStrategy, config={"zero_optimization": {"stage": 3}}),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_strategies_that_shard_weights_are_refused(strategy: Any) -> None:
    name = type(strategy).__name__
    with pytest.raises(ValueError, match=f"whole weights .* got {name}; use 'ddp'"):
        check_strategy(strategy)


def test_strategies_that_do_not_shard_weights_are_accepted() -> None:
    check_strategy(SingleDeviceStrategy())
    for stage in (0, 1, 2):
        config = {"zero_optimization": {"stage": stage}}
        check_strategy(stub(DeepSpeedStrategy, config=config))


def test_a_fit_checks_the_strategy_before_it_shards_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Reached(Exception):
        pass

    checked: list[object] = []

    def set_up(self: SingleDeviceStrategy, trainer: object) -> None:
        assert checked == [self], "the weights may be sharded already"
        raise Reached

    monkeypatch.setattr(ema_teacher, "check_strategy", checked.append)
    monkeypatch.setattr(SingleDeviceStrategy, "setup", set_up)
    with pytest.raises(Reached):
        tiny.trainer().fit(module(), tiny.data())
    assert checked


def test_stochastic_weight_averaging_is_refused() -> None:
    callback = StochasticWeightAveraging(0.1, swa_epoch_start=1)
    trainer = tiny.trainer(callbacks=[callback], max_epochs=3, max_steps=-1)
    with pytest.raises(ValueError, match="must not hold StochasticWeightAveraging"):
        trainer.fit(module(), tiny.data())
    assert trainer.global_step == 0


def test_an_ema_teacher_beside_one_of_a_subclass_is_refused() -> None:
    class SubclassedTeacher(EMATeacher):
        pass

    trainer = tiny.trainer(callbacks=[EMATeacher(), SubclassedTeacher()])
    with pytest.raises(
        ValueError, match="one teacher, got EMATeacher, SubclassedTeacher"
    ):
        trainer.fit(module(), tiny.data())


def test_the_trainer_refuses_two_ema_teachers() -> None:
    with pytest.raises(RuntimeError, match=r"more than one .* `EMATeacher`"):
        tiny.trainer(callbacks=[EMATeacher(), EMATeacher(0.5)])


def test_a_callback_that_averages_the_whole_module_is_warned_about() -> None:
    trainer = tiny.trainer(callbacks=[EMAWeightAveraging()], max_steps=1)
    with pytest.warns(UserWarning, match="EMAWeightAveraging averages the whole"):
        trainer.fit(module(), tiny.data())


@pytest.mark.slow
def test_an_import_of_pytorch_lightning_is_warned_about() -> None:
    code = """if True:
        import pytorch_lightning
        from torch import nn
        from lightning_classmix import Supervised
        network = nn.Conv2d(3, 3, 1)
        try:
            pytorch_lightning.Trainer(logger=False).fit(Supervised(3, network=network))
        except TypeError:
            pass
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Supervised must be used with the Trainer of lightning, got" in run.stderr
    assert "write 'from lightning.pytorch import Trainer'" in run.stderr


def test_teacher_parameters_in_the_optimizer_are_refused() -> None:
    class OptimizesAll(ClassMix):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = tiny.trainer()
    with pytest.raises(ValueError, match=r"teacher's .*weight; use student"):
        trainer.fit(module(OptimizesAll), tiny.data())
    assert trainer.global_step == 0
