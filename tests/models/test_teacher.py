from typing import Any, get_args

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from torch import nn
from torch.nn.utils import spectral_norm

from lightning_classmix import ClassMix
from lightning_classmix.models.teacher import Teacher, TeacherMode
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(),
        "labeled_only_steps": 1,
        "lr": 0.1,
    }
    return ClassMix(tiny.CLASSES, **defaults | options)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_teacher_keeps_its_own_mode(mode: str) -> None:
    model = module(teacher_mode=mode)
    seen: list[bool] = []
    model.teacher.network.register_forward_pre_hook(
        lambda network, _: seen.append(network.training)
    )

    class Meddle(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            pl_module.train(bool(trainer.global_step % 2))
            pl_module.student.train()

    model.eval()
    options = {"num_sanity_val_steps": 0, "limit_val_batches": 0, "max_steps": 6}
    tiny.trainer(callbacks=[Meddle()], **options).fit(model, tiny.data())
    assert seen == [mode == "train"] * 5  # the first step is on labels alone
    assert not any(part.training for part in model.teacher.modules())
    tiny.trainer().validate(model, tiny.data(), verbose=False)
    assert seen[5:] == [False] * 4


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="one of eval, train"):
        Teacher(nn.Identity(), mode="training")  # type: ignore[arg-type]


def called(network: nn.Module) -> nn.Module:
    network(torch.zeros(1, 3, 8, 8))
    return network


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nn.utils.weight_norm(nn.Conv2d(3, 3, 1)),
        lambda: called(spectral_norm(nn.Conv2d(3, 3, 1))),
        lambda: torch.jit.script(tiny.network()),
        lambda: torch.jit.trace(  # type: ignore[no-untyped-call]
            tiny.network(), torch.zeros(2, 3, 8, 8)
        ),
    ],
    ids=["weight_norm", "spectral_norm", "script", "trace"],
)
def test_networks_that_deepcopy_refuses_are_copied_and_trained(make: Any) -> None:
    model = module(network=make())
    start = [value.clone() for value in model.teacher.parameters()]
    tiny.trainer(max_steps=3).fit(model, tiny.data())
    assert not any(value.requires_grad for value in model.teacher.parameters())
    assert any(
        not torch.equal(*pair)
        for pair in zip(start, model.teacher.parameters(), strict=True)
    )


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    network = tiny.network()
    network.stream = (value for value in ())  # type: ignore[assignment, var-annotated]
    with pytest.raises(ValueError, match=r"copy.deepcopy, got an error: .*gener"):
        module(network=network)


def test_a_teacher_is_in_eval_mode_from_the_start_and_needs_no_gradient() -> None:
    network = tiny.network().train()
    for mode in get_args(TeacherMode):
        teacher = Teacher(network, mode=mode)
        assert not any(part.training for part in teacher.modules())
        assert not any(value.requires_grad for value in teacher.parameters())
    assert Teacher(network).mode == "train"
    assert all(part.training for part in network.modules())
    assert all(value.requires_grad for value in network.parameters())


def test_in_mode_train_the_teacher_collects_statistics_of_batch_norm() -> None:
    frozen = nn.BatchNorm2d(3)
    frozen.train = lambda mode=True: frozen  # type: ignore[method-assign]
    frozen.training = False
    teacher = Teacher(nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0), frozen))
    network: Any = teacher.network
    image = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    with teacher.labeling():
        assert [layer.training for layer in network] == [True, True, False]
        logits = teacher(image)
    torch.testing.assert_close(logits, nn.BatchNorm2d(3)(image) / (1 + 1e-5) ** 0.5)
    assert teacher.collected == {
        f"0.{name}" for name, _ in nn.BatchNorm2d(3).named_buffers()
    }
    torch.testing.assert_close(network[0].running_mean, 0.1 * image.mean((0, 2, 3)))


def test_a_network_without_batch_norm_collects_nothing() -> None:
    teacher = Teacher(tiny.network(norm=False))
    with teacher.labeling():
        teacher(torch.zeros(1, 3, 4, 4))
    assert teacher.collected == frozenset()


@pytest.mark.parametrize("mode", get_args(TeacherMode))
def test_labeling_ends_in_eval_mode_after_an_error_too(mode: Any) -> None:
    teacher = Teacher(tiny.network(), mode=mode)

    def label() -> None:
        with teacher.labeling():
            assert teacher.network.training is (mode == "train")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        label()
    assert not any(part.training for part in teacher.modules())


def test_train_returns_the_teacher_in_eval_mode() -> None:
    teacher = Teacher(tiny.network())
    assert teacher.train() is teacher
    assert not any(part.training for part in teacher.modules())
    image = torch.randn(2, 3, 4, 4)
    assert torch.equal(teacher(image), teacher.network(image))
