"""Optimizer, random numbers and checkpoints of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import BackboneFinetuning
from torch import Tensor, nn

from lightning_classmix import ClassMix, Supervised, ops
from lightning_classmix.callbacks.finite_loss import FiniteLoss
from lightning_classmix.modules.reproduction import Reproduction
from tests import tiny


def module(kind: Any = Supervised, **options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "lr": 0.1}
    return kind(tiny.CLASSES, **defaults | options)


def groups(model: Supervised) -> list[dict[str, Any]]:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    return trainer.optimizers[0].param_groups


def test_encoder_and_head_have_own_learning_rates_and_norms_no_weight_decay() -> None:
    model = module(
        network=tiny.WithEncoder(), lr=0.1, encoder_lr_factor=0.5, weight_decay=0.25
    )
    settings = {
        name: (group["initial_lr"], group["weight_decay"])
        for group in groups(model)
        for name, parameter in model.student.network.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert settings == {
        "encoder.0.weight": (0.05, 0.25),
        "encoder.0.bias": (0.05, 0.0),
        "encoder.1.weight": (0.05, 0.0),
        "encoder.1.bias": (0.05, 0.0),
        "head.weight": (0.1, 0.25),
        "head.bias": (0.1, 0.0),
    }


def test_the_blocks_of_an_encoder_have_decreasing_learning_rates() -> None:
    model = module(
        network=tiny.WithEncoder(),
        lr=0.8,
        encoder_lr_factor=0.5,
        encoder_layer_decay=0.5,
    )
    rates = {
        name: group["initial_lr"]
        for group in groups(model)
        for name, parameter in model.student.network.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert rates == {
        "encoder.0.weight": 0.2,
        "encoder.0.bias": 0.2,
        "encoder.1.weight": 0.4,
        "encoder.1.bias": 0.4,
        "head.weight": 0.8,
        "head.bias": 0.8,
    }


def test_decay_all_applies_weight_decay_to_norms_and_biases() -> None:
    for decay_all, decays in ((False, {0.25, 0.0}), (True, {0.25})):
        model = module(
            weight_decay=0.25, reproduction=Reproduction(decay_all=decay_all)
        )
        assert {group["weight_decay"] for group in groups(model)} == decays


def test_a_network_without_an_encoder_has_one_learning_rate() -> None:
    assert {group["initial_lr"] for group in groups(module())} == {0.1}


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)]
)
def test_optimizer_is_chosen_by_name(name: str, kind: type) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module(optimizer=name), tiny.data())
    assert type(trainer.optimizers[0]) is kind
    if name == "sgd":
        assert trainer.optimizers[0].param_groups[0]["momentum"] == 0.9


def test_the_learning_rate_follows_the_polynomial_at_every_step() -> None:
    rates: list[float] = []

    class RecordRate(Callback):
        def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    options = {"max_steps": -1, "max_epochs": 2, "callbacks": [RecordRate()]}
    tiny.trainer(**options).fit(module(), tiny.data())
    assert rates == pytest.approx([0.1 * ops.poly(step, 10) for step in range(10)])


def test_a_trainer_without_max_steps_and_max_epochs_is_refused() -> None:
    trainer = tiny.trainer(max_steps=-1, max_epochs=-1)
    with pytest.raises(ValueError, match="max_steps or max_epochs must be set"):
        trainer.fit(module(), tiny.data())


@pytest.mark.filterwarnings("ignore:The provided params to be frozen already exist")
def test_backbone_finetuning_freezes_and_unfreezes_the_encoder() -> None:
    model = module(network=tiny.WithEncoder())
    weights: list[Tensor] = []

    class RecordEncoder(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            weights.append(pl_module.backbone[0].weight.detach().clone())

    weights.append(model.backbone[0].weight.detach().clone())
    finetuning = BackboneFinetuning(unfreeze_backbone_at_epoch=1, verbose=False)
    options = {
        "max_steps": -1,
        "max_epochs": 3,
        "callbacks": [finetuning, RecordEncoder()],
    }
    tiny.trainer(**options).fit(model, tiny.data())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_a_fit_of_zero_steps_ends_without_error() -> None:
    trainer = tiny.trainer(max_steps=0)
    trainer.fit(module(), tiny.data())
    assert trainer.global_step == 0


def test_a_checkpoint_holds_the_class_paths_of_module_and_data(tmp_path: Path) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(module(), tiny.data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["class_paths"] == {
        "model": "lightning_classmix.modules.supervised.Supervised",
        "data": "lightning_classmix.datamodules.semi_supervised"
        ".SemiSupervisedDataModule",
    }


def test_the_defaults_are_those_that_the_documentation_names() -> None:
    model: Any = Supervised(tiny.CLASSES, network=tiny.network())
    assert (model.optimizer, model.lr, model.weight_decay) == ("adamw", 1e-3, 0.01)
    assert model.encoder_layer_decay == 1.0
    assert (model.compiled, model.channels_last) == (False, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be one of adamw, sgd, got 'adam'"),
        ({"lr": -1}, "lr must be at least 0, got -1"),
        ({"encoder_lr_factor": -1}, "encoder_lr_factor must be at least 0, got -1"),
        ({"encoder_layer_decay": 0}, r"encoder_layer_decay must be in \(0, 1\], got 0"),
        ({"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        module(**options)


def test_the_encoder_has_the_full_rate_where_no_factor_is_given() -> None:
    model = module(network=tiny.WithEncoder())
    model.encoder_lr_factor = None
    assert {group["initial_lr"] for group in groups(model)} == {0.1}


def test_random_numbers_depend_on_seed_rank_epoch_and_batch_only() -> None:
    model = module()

    def draw(seed: int = 0, rank: int = 0, epoch: int = 0, batch: int = 0) -> Any:
        model.base_seed = seed
        model._trainer = SimpleNamespace(global_rank=rank, current_epoch=epoch)
        torch.manual_seed(torch.randint(99, ()).item())
        with model.random_stream(batch):
            return tuple(torch.rand(3).tolist())

    assert draw(1, 2, 3, 4) == draw(1, 2, 3, 4)
    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert len({draw(*place) for place in places}) == len(places)


def test_the_global_generator_goes_on_after_a_random_stream() -> None:
    model = module()
    state = torch.get_rng_state()
    with model.random_stream(0):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "forked"), [("cpu", []), ("cuda", ["cuda:1"])])
def test_the_generator_of_the_own_device_goes_on_too(
    kind: str, forked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []

    @contextmanager
    def fork_rng(given: list[torch.device]) -> Iterator[None]:
        devices.extend(map(str, given))
        yield

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    model = module()
    model._device = torch.device("cuda:1" if kind == "cuda" else kind)
    with model.random_stream(0):
        pass
    assert devices == forked


def test_a_fit_takes_the_seed_of_its_start_and_puts_the_student_in_train_mode() -> None:
    model = module().eval()
    torch.manual_seed(77)
    tiny.trainer().validate(model, tiny.data(), verbose=False)
    assert model.base_seed == 0
    assert not model.student.training
    model.trainer = tiny.trainer()
    model.setup("fit")
    assert model.base_seed == 77
    assert model.student.training


@pytest.mark.parametrize("switched", [False, True])
def test_a_fit_compiles_networks_and_changes_their_memory_format_if_asked(
    switched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    network = nn.Conv2d(3, tiny.CLASSES, 3, padding=1)
    options: dict[str, Any] = {"compile": switched, "channels_last": switched}
    model = module(ClassMix, network=network, **options)
    tiny.trainer().validate(model, tiny.data(), verbose=False)
    weights = [part.weight for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert all(weight.is_contiguous() for weight in weights)
    assert compiled == []
    tiny.trainer(max_steps=1).fit(model, tiny.data())
    assert len(weights) == 2
    for weight in weights:
        changed = weight.is_contiguous(memory_format=torch.channels_last)
        assert changed is switched
    expected = [model.student, model.teacher.network] if switched else []
    assert [id(part) for part in compiled] == [id(part) for part in expected]


def test_finite_loss_is_added_once_unless_the_trainer_has_one() -> None:
    for own in ([], [FiniteLoss()]):
        trainer: Any = tiny.trainer(max_steps=1, callbacks=[*own])
        trainer.fit(module(), tiny.data())
        found = [c for c in trainer.callbacks if isinstance(c, FiniteLoss)]
        assert len(found) == 1
        assert own in ([], found)


def resumed(model: Any, path: Path) -> dict[str, Any]:
    """Return the first parameter group after a resume for one more step."""
    trainer = tiny.trainer(max_steps=4, callbacks=[Keep()])
    trainer.fit(model, tiny.data(), ckpt_path=str(path))
    return Keep.group


class Keep(Callback):
    """Keep the settings of the first parameter group at the start of a training."""

    group: dict[str, Any]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        group = trainer.optimizers[0].param_groups[0]
        Keep.group = {k: v for k, v in group.items() if k != "params"}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if "rate" not in Keep.group:
            Keep.group["rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            Keep.group["decay"] = trainer.optimizers[0].param_groups[0]["weight_decay"]


class OwnOptimizer(Supervised):
    """A module with an optimizer of its own, without a schedule."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.student.parameters(), lr=self.lr)


def test_a_resumed_run_takes_the_rates_of_its_arguments(tmp_path: Path) -> None:
    path = tmp_path / "half.ckpt"
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(module(lr=0.1, weight_decay=0.1), tiny.data())
    trainer.save_checkpoint(path)
    group = resumed(module(lr=0.4, weight_decay=0.2), path)
    assert group["decay"] == 0.2
    before = resumed(module(lr=0.1, weight_decay=0.1), path)
    assert group["rate"] == pytest.approx(4 * before["rate"])


def test_an_optimizer_of_a_subclass_resumes_with_its_own_rates(tmp_path: Path) -> None:
    path = tmp_path / "half.ckpt"
    trainer = tiny.trainer(max_steps=2)
    trainer.fit(module(OwnOptimizer, lr=0.1), tiny.data())
    trainer.save_checkpoint(path)
    assert resumed(module(OwnOptimizer, lr=0.4), path)["rate"] == 0.1


def test_the_initial_weights_are_read_where_a_subclass_has_its_own_optimizer(
    tmp_path: Path,
) -> None:
    source: Any = tiny.network()
    weight = source[0].weight
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    for kind in (Supervised, OwnOptimizer):
        model = module(kind, lr=0.0, student_weights=tmp_path / "weights.pth")
        tiny.trainer(max_steps=1).fit(model, tiny.data())
        assert torch.equal(model.student.network[0].weight, weight)


def test_a_file_of_weights_alone_is_not_written_if_they_are_not_finite(
    tmp_path: Path,
) -> None:
    model, trainer = module(), tiny.trainer(max_steps=1)
    trainer.fit(model, tiny.data())
    trainer.save_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    with torch.no_grad():
        model.student.network[0].weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="weight network"):
        trainer.save_checkpoint(tmp_path / "b.ckpt", weights_only=True)
    assert not (tmp_path / "b.ckpt").exists()


def test_a_checkpoint_restores_base_seed_preprocessing_and_step(tmp_path: Path) -> None:
    torch.manual_seed(5)
    trainer = tiny.trainer(max_steps=3)
    source: Any = Supervised(tiny.CLASSES, network=tiny.network())
    source.preprocessing = preprocessing = source.preprocessing.__class__(
        mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)
    )
    trainer.fit(source, train_dataloaders=tiny.loader(tiny.batch()))
    assert trainer.global_step == 3
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    model = module()
    model.on_load_checkpoint(torch.load(tmp_path / "run.ckpt", weights_only=True))
    assert model.base_seed == 5
    assert model.preprocessing == preprocessing
    tiny.trainer().validate(model, tiny.data(), verbose=False)
    assert model.scored_step == 3


def test_a_run_that_ended_with_its_epoch_resumes_with_the_next_epoch() -> None:
    checkpoint = {
        "base_seed": 1,
        "loops": {
            "fit_loop": {
                "epoch_progress": {
                    part: {"processed": 1, "completed": 0}
                    for part in ("total", "current")
                },
                "epoch_loop.batch_progress": {"current": {"ready": 5}},
            }
        },
    }
    module().on_load_checkpoint(checkpoint)
    progress: Any = checkpoint["loops"]["fit_loop"]["epoch_progress"]  # type: ignore[index]
    assert progress["current"]["completed"] == 1
