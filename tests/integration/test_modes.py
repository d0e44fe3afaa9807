"""Student and teacher are in train or eval mode as documented, after any call."""

from collections.abc import Callable
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from lightning_classmix import ClassMix
from lightning_classmix.datamodules.semi_supervised import SemiSupervisedDataModule
from lightning_classmix.modules.mixed import PseudoLabel
from tests import tiny

pytestmark = pytest.mark.usefixtures("accelerator")


class Modes(Callback):
    """Record the modes of both networks in every kind of step."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, bool, bool]] = set()

    def record(self, kind: str, module: Any) -> None:
        teacher = module.teacher.network.training
        self.seen.add((kind, module.student.training, teacher))

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: Any,
        *_: object,
    ) -> None:
        self.record("train", pl_module)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: Any,
        *_: object,
    ) -> None:
        self.record("validation", pl_module)

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: Any,
        *_: object,
    ) -> None:
        self.record("predict", pl_module)


DOCUMENTED = {("train", True, False), ("validation", False, False)}


def data() -> SemiSupervisedDataModule:
    module: SemiSupervisedDataModule = tiny.data()
    module.predict = [image for image, _ in tiny.pairs(2)]
    return module


@pytest.mark.parametrize(
    "before",
    [
        lambda module: None,
        lambda module: module.eval(),
        lambda module: module.train(),
        lambda module: module.teacher.train(),
        lambda module: module.teacher.network.train(),
        lambda module: tiny.trainer().validate(module, data(), verbose=False),
        lambda module: tiny.trainer().predict(module, data()),
        lambda module: tiny.trainer().fit(module, data()),
    ],
    ids=[
        "nothing",
        "eval",
        "train",
        "teacher-train",
        "network-train",
        "validate",
        "predict",
        "fit",
    ],
)
def test_a_fit_sets_the_modes_after_any_earlier_call(
    before: Callable[[Any], Any],
) -> None:
    modes = Modes()
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=1)
    before(module)
    trainer = tiny.trainer(callbacks=[modes], val_check_interval=1)
    trainer.fit(module, data())
    assert modes.seen == DOCUMENTED


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_teacher_mode_governs_labeling_and_not_validation(mode: str) -> None:
    module = ClassMix(
        tiny.CLASSES,
        network=tiny.network(),
        labeled_only_steps=0,
        teacher_mode=mode,  # type: ignore[arg-type]
    )
    labeling: list[bool] = []
    predict = module.pseudo_label

    def recorded(unlabeled: dict[str, Tensor]) -> PseudoLabel:
        network = module.teacher.network
        hook = network.register_forward_pre_hook(
            lambda network, _: labeling.append(network.training)
        )
        pseudo = predict(unlabeled)
        hook.remove()
        return pseudo

    module.pseudo_label = recorded  # type: ignore[method-assign]
    modes = Modes()
    tiny.trainer(callbacks=[modes], val_check_interval=1).fit(module, data())
    assert set(labeling) == {mode == "train"}
    assert modes.seen == DOCUMENTED


def test_prediction_and_validation_between_fits_do_not_change_the_modes() -> None:
    module = ClassMix(tiny.CLASSES, network=tiny.network(), labeled_only_steps=1)
    modes = Modes()
    for method in ("fit", "predict", "fit", "validate", "fit"):
        getattr(tiny.trainer(callbacks=[modes]), method)(module, data())
    assert modes.seen == DOCUMENTED | {("predict", False, False)}


def test_scores_are_the_same_with_and_without_inference_mode() -> None:
    module = ClassMix(tiny.CLASSES, network=tiny.network())
    scores = [
        tiny.trainer(inference_mode=mode).validate(module, data(), verbose=False)
        for mode in (True, False, True)
    ]
    assert scores[0] == scores[1] == scores[2]
