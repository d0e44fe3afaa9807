"""The arguments ``compile`` and ``channels_last``."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from lightning_classmix import ClassMix
from tests import tiny

pytestmark = pytest.mark.usefixtures("accelerator")


class Losses(Callback):
    """Record the loss of every step."""

    def __init__(self) -> None:
        self.values: list[torch.Tensor] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        *_: object,
    ) -> None:
        self.values.append(outputs["loss"].detach())


def fit(**options: Any) -> tuple[torch.Tensor, ClassMix]:
    seed_everything(0, verbose=False)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.Conv2d(4, tiny.CLASSES, 3, padding=1),
    )
    module = ClassMix(tiny.CLASSES, network=network, labeled_only_steps=1, **options)
    losses = Losses()
    trainer = tiny.trainer(max_steps=4, callbacks=[losses], limit_val_batches=0)
    trainer.fit(module, tiny.data())
    return torch.stack(losses.values), module


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler issues warnings of its own
def test_compile_changes_neither_losses_nor_names_of_the_weights() -> None:
    plain, module = fit()
    compiled, compiled_module = fit(compile=True)
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)
    assert compiled_module.state_dict().keys() == module.state_dict().keys()
    for network in (compiled_module.student, compiled_module.teacher.network):
        assert network._compiled_call_impl is not None
    assert module.student._compiled_call_impl is None


def test_channels_last_sets_the_memory_format_and_does_not_change_losses() -> None:
    plain, _ = fit()
    channels_last, module = fit(channels_last=True)
    torch.testing.assert_close(channels_last, plain, rtol=1e-4, atol=1e-5)
    for network in (module.student, module.teacher.network):
        for parameter in network.parameters():
            if parameter.ndim == 4:
                assert parameter.is_contiguous(memory_format=torch.channels_last)
