"""What a teacher cannot stand beside is refused before the first step."""

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
    """Make a strategy without what it needs to run."""
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


def test_strategies_that_keep_weights_whole_are_not() -> None:
    check_strategy(SingleDeviceStrategy())
    for stage in (0, 1, 2):
        config = {"zero_optimization": {"stage": stage}}
        check_strategy(stub(DeepSpeedStrategy, config=config))


def test_a_fit_asks_before_the_strategy_is_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def set_up(self: SingleDeviceStrategy, trainer: object) -> None:
        assert asked == [self], "weights would be in pieces by now"
        raise KeyboardInterrupt

    monkeypatch.setattr(ema_teacher, "check_strategy", asked.append)
    monkeypatch.setattr(SingleDeviceStrategy, "setup", set_up)
    with pytest.raises(SystemExit):
        tiny.trainer().fit(module(), tiny.data())
    assert asked


def test_stochastic_weight_averaging_is_refused() -> None:
    callback = StochasticWeightAveraging(0.1, swa_epoch_start=1)
    trainer = tiny.trainer(callbacks=[callback], max_epochs=3, max_steps=-1)
    with pytest.raises(ValueError, match="must not hold StochasticWeightAveraging"):
        trainer.fit(module(), tiny.data())
    assert trainer.global_step == 0


def test_a_teacher_of_another_class_is_a_second_one() -> None:
    class Mine(EMATeacher):
        pass

    trainer = tiny.trainer(callbacks=[EMATeacher(), Mine()])
    with pytest.raises(ValueError, match="one teacher, got EMATeacher, Mine"):
        trainer.fit(module(), tiny.data())


def test_two_teachers_are_refused_by_the_trainer() -> None:
    with pytest.raises(RuntimeError, match=r"more than one .* `EMATeacher`"):
        tiny.trainer(callbacks=[EMATeacher(), EMATeacher(0.5)])


def test_an_average_of_the_whole_module_is_warned_of() -> None:
    trainer = tiny.trainer(callbacks=[EMAWeightAveraging()], max_steps=1)
    with pytest.warns(UserWarning, match="EMAWeightAveraging averages the whole"):
        trainer.fit(module(), tiny.data())


def test_a_teacher_in_the_optimizer_is_refused() -> None:
    class Wrong(ClassMix):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = tiny.trainer()
    with pytest.raises(ValueError, match=r"teacher's .*weight; use student"):
        trainer.fit(module(Wrong), tiny.data())
    assert trainer.global_step == 0
