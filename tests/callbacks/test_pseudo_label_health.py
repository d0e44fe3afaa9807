import warnings
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from torch import Tensor, nn

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.callbacks.pseudo_label_health import PseudoLabelHealth
from tests import tiny


class Recorder(Callback):
    """Keeps the batches and outputs of every step, and what was logged after it."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, Any]] = []
        self.logged: list[dict[str, float]] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.steps.append((batch, outputs))

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        metrics = trainer.logged_metrics
        self.logged.append({key: float(value) for key, value in metrics.items()})


def biased(class_: int, bias: float) -> nn.Module:
    """Make a network that predicts a class always or never."""
    network = nn.Conv2d(3, tiny.CLASSES, 1)
    with torch.no_grad():
        network.bias[class_] = bias  # type: ignore[index]
    return network


def module(**options: Any) -> ClassMix:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "network": tiny.network(),
        "labeled_only_steps": 0,
        "ramp_steps": 0,
        "class_names": ["sky", "road", "tree"],
    }
    return ClassMix(tiny.CLASSES, **defaults | options)


def fit(model: Any, health: PseudoLabelHealth, **options: Any) -> Recorder:
    recorder = Recorder()
    trainer = tiny.trainer(
        callbacks=[health, recorder], **{"log_every_n_steps": 2, **options}
    )
    trainer.fit(model, tiny.data(unlabeled=40))
    recorder.logged.append({k: float(v) for k, v in trainer.logged_metrics.items()})
    return recorder


def shares(labels: list[Tensor]) -> list[float]:
    pixels = torch.cat([label.flatten() for label in labels])
    pixels = pixels[pixels != 255]
    return [(pixels == index).float().mean().item() for index in range(tiny.CLASSES)]


def test_the_logged_values_are_those_of_the_steps_of_an_interval() -> None:
    recorder = fit(module(threshold=0.5), PseudoLabelHealth(), max_steps=4)
    logged = recorder.logged[4]
    labeled = [batch["labeled"]["label"] for batch, _ in recorder.steps]
    outputs = [outputs for _, outputs in recorder.steps[2:]]
    pseudo = [output["pseudo_label"] for output in outputs]
    names = ["sky", "road", "tree"]
    for name, share, prior in zip(names, shares(pseudo), shares(labeled), strict=True):
        assert logged[f"pseudo_label/share/{name}"] == pytest.approx(share)
        assert logged[f"pseudo_label/labeled_share/{name}"] == pytest.approx(prior)
    agreed = [out["logits"].argmax(1) == out["target"] for out in outputs]
    confident = [out["confidence"] >= 0.5 for out in outputs]
    for name, maps in (
        ("agreement", agreed),
        ("confident", confident),
        ("moved", [out["mask"] for out in outputs]),
    ):
        expected = torch.cat(maps).float().mean().item()
        assert logged[f"pseudo_label/{name}"] == pytest.approx(expected)
    present = [len(image.unique()) for label in pseudo for image in label]
    classes = logged["pseudo_label/classes_per_image"]
    assert classes == pytest.approx(sum(present) / len(present))


def test_padded_pixels_are_left_out() -> None:
    health = PseudoLabelHealth()
    batch = tiny.batch()
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[:, 4:] = False
    batch["unlabeled"]["valid"] = valid
    model = module()
    outputs = model.training_step(batch, 0)
    counts = health._count(model, 3, batch["labeled"]["label"], outputs).tolist()
    assert sum(counts[3:6]) == 2 * 4 * 8
    pixels, _, _, moved = counts[6:10]
    assert pixels == 2 * 4 * 8
    assert moved <= 2 * 4 * 8


@pytest.mark.parametrize(("interval", "steps"), [(4, 12), (23, 69)])
def test_counters_are_read_once_per_logging_interval(
    interval: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    tolist = Tensor.tolist

    def counted(self: Tensor) -> Any:
        if self.shape == (2 * tiny.CLASSES + 6,):
            read.append(1)
        return tolist(self)

    monkeypatch.setattr(Tensor, "tolist", counted)
    fit(module(), PseudoLabelHealth(), max_steps=steps, log_every_n_steps=interval)
    assert len(read) == 3


def test_a_class_that_the_pseudo_labels_lack_causes_one_warning_with_a_remedy() -> None:
    model = module(network=biased(2, -1e9), lr=0.0)
    with pytest.warns(UserWarning, match=r"vanished .* tree \(0.00% .* raise") as found:
        fit(model, PseudoLabelHealth(), max_steps=16, log_every_n_steps=2)
    assert sum("vanished" in str(warning.message) for warning in found) == 1


def test_a_class_that_covers_all_pseudo_labels_is_named() -> None:
    model = module(network=biased(0, 1e9), lr=0.0)
    with pytest.warns(UserWarning, match=r"class sky covers 100.0% of the pseudo-l"):
        fit(model, PseudoLabelHealth(), max_steps=12, log_every_n_steps=2)


def test_a_class_that_is_missing_for_a_short_time_causes_no_warning() -> None:
    health = PseudoLabelHealth()
    health.labeled_counts = [10, 10, 10]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reading in range(12):
            rest = [0.6, 0.4, 0.0] if reading % 4 else [0.5, 0.4, 0.1]
            health._warn(["a", "b", "c"], rest, [0.4, 0.4, 0.2], 50)
    assert health.vanished == {0: 0, 1: 0, 2: 3}


def test_a_module_without_pseudo_labels_logs_nothing() -> None:
    model = Supervised(tiny.CLASSES, network=tiny.network())
    recorder = fit(model, PseudoLabelHealth(), max_steps=4)
    assert not [key for key in recorder.logged[-1] if "pseudo_label" in key]


def test_nothing_is_logged_before_the_first_mix() -> None:
    recorder = fit(module(labeled_only_steps=2), PseudoLabelHealth(), max_steps=4)
    assert "pseudo_label/moved" not in recorder.logged[2]
    assert "pseudo_label/moved" in recorder.logged[4]


def test_a_resumed_run_keeps_the_counts_of_labels_and_missing_classes() -> None:
    health = PseudoLabelHealth()
    fit(module(network=biased(2, -1e9), lr=0.0), health, max_steps=4)
    resumed = PseudoLabelHealth()
    resumed.load_state_dict(health.state_dict())
    assert sum(resumed.labeled_counts) == 4 * 2 * 64
    assert resumed.vanished[2] == 2


@pytest.mark.parametrize(
    "options",
    [
        {"fast_dev_run": 2},
        {"accumulate_grad_batches": 2},
        {
            "barebones": True,
            "enable_checkpointing": None,
            "logger": None,
            "log_every_n_steps": None,
        },
    ],
    ids=str,
)
def test_it_works_under_other_flags(options: dict[str, Any]) -> None:
    recorder = fit(module(), PseudoLabelHealth(), max_steps=4, **options)
    logged = "pseudo_label/moved" in recorder.logged[-1]
    assert logged == ("barebones" not in options)
