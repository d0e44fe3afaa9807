import math
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassF1Score, MulticlassRecall
from torchmetrics.functional.classification import multiclass_f1_score

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.modules.reproduction import Reproduction
from tests import tiny


def module(**options: Any) -> Any:
    seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"network": tiny.network(), "lr": 0.1}
    return Supervised(tiny.CLASSES, **defaults | options)


def test_metrics_are_logged_under_their_documented_names() -> None:
    model = module(class_names=["sky", "road", "tree"])
    metrics = tiny.trainer().validate(model, tiny.data(), verbose=False)[0]
    assert metrics.keys() == {
        "val_miou",
        "val_miou_student",
        "val_loss",
        "val_accuracy",
        "val_accuracy_student",
        "val_iou/sky",
        "val_iou/road",
        "val_iou/tree",
    }
    per_class = [metrics[f"val_iou/{name}"] for name in ("sky", "road", "tree")]
    assert metrics["val_miou"] == pytest.approx(sum(per_class) / 3)


def test_logits_are_upsampled_to_the_label() -> None:
    model = module(network=nn.Conv2d(3, 3, 1))
    image, label = torch.randn(1, 3, 4, 4), torch.zeros(1, 9, 10).long()
    model.eval()
    loader = tiny.loader({"image": image, "label": label})
    logits = functional.interpolate(model(image), (9, 10), mode="bilinear")
    expected = functional.cross_entropy(logits, label)
    assert tiny.trainer().validate(model, loader, verbose=False)[0]["val_loss"] == (
        pytest.approx(float(expected.detach()), rel=1e-5)
    )


def test_prediction_has_the_requested_size() -> None:
    model = module()
    batch = {
        "image": torch.randn(2, 3, 8, 8),
        "name": ["a", "b"],
        "size": torch.tensor([[8, 8], [5, 7]]),
    }
    predicted = model.predict_step(batch, 0)
    assert predicted["name"] == ["a", "b"]
    assert [tuple(label.shape) for label in predicted["label"]] == [(8, 8), (5, 7)]
    assert torch.equal(predicted["label"][0], model(batch["image"])[0].argmax(0))


def test_validation_and_prediction_run_the_network_on_windows() -> None:
    seen: list[tuple[int, ...]] = []

    class Recorded(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(tuple(input.shape[2:]))
            return super().forward(input)

    module = Supervised(tiny.CLASSES, network=Recorded(3, 3, 1), window=(4, 6))
    tiny.trainer().validate(module, tiny.data(), verbose=False)
    assert set(seen) == {(4, 6)}
    image = torch.randn(1, 3, 8, 8)
    batch = {"image": image, "name": ["a"], "size": torch.tensor([[8, 8]])}
    label = module.predict_step(batch, 0)["label"][0]
    assert label.equal(module(image).argmax(1)[0])


class LeftNeighbor(nn.Module):
    """Predict class 0 where the left neighbor is bright."""

    def __init__(self, bright: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(bright))

    def forward(self, image: Tensor) -> Tensor:
        left = functional.pad(image[:, :1], (1, 0))[..., :-1]
        return torch.cat([self.scale * left, torch.zeros_like(left)], dim=1)


def test_flip_average_is_used_in_validation_test_and_prediction() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, 0] = torch.tensor([3.0, 0.0, -1.0, 0.0])
    label = torch.tensor([[[0, 0, 1, 1]]])
    # Probability of class 0, with s = sigmoid: from the left neighbors
    # 0.5, s(3), 0.5, s(-1), from the right neighbors 0.5, s(-1), 0.5, 0.5.
    high, low = (1 / (1 + math.exp(-x)) for x in (3, -1))
    unflipped = [0.5, high, 0.5, low]
    averaged = [0.5, (high + low) / 2, 0.5, (low + 0.5) / 2]
    for flip_average, first_class in ((False, unflipped), (True, averaged)):
        model = Supervised(2, network=LeftNeighbor(1.0), flip_average=flip_average)
        truth = [*first_class[:2], 1 - first_class[2], 1 - first_class[3]]
        loss = -sum(map(math.log, truth)) / 4
        loader = tiny.loader({"image": image, "label": label})
        for run, key in (("validate", "val_loss"), ("test", "test_loss")):
            (logged,) = getattr(tiny.trainer(), run)(model, loader, verbose=False)
            assert logged[key] == pytest.approx(loss, rel=1e-5)

    # Left neighbors are 0, 2, -1, -2, right neighbors -1, -2, -1, 0.
    batch = {"image": image - 1, "name": ["a"], "size": torch.tensor([[1, 4]])}
    unflipped_label, averaged_label = (
        Supervised(2, network=LeftNeighbor(1.0), flip_average=flip_average)
        .predict_step(batch, 0)["label"][0]
        .tolist()
        for flip_average in (False, True)
    )
    assert unflipped_label == [[0, 0, 1, 1]]
    assert averaged_label == [[1, 0, 1, 1]]


def test_flip_average_processes_the_mirror_image_in_windows() -> None:
    seen: list[Tensor] = []

    class Recorded(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(input)
            return super().forward(input)

    network = Recorded(3, 3, 1)
    model = Supervised(3, network=network, window=(2, 4), flip_average=True)
    image = torch.randn(1, 3, 2, 6)
    model.predict_logits(image, "student")
    windows = [image[..., :4], image[..., 2:], image.flip(3)[..., :4]]
    for window, expected in zip(seen, [*windows, image.flip(3)[..., 2:]], strict=True):
        assert torch.equal(window, expected)


def test_predict_step_passes_on_the_error_of_an_unreadable_image() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    batch = {"name": ["7"], "error": ["broken"]}
    assert module.predict_step(batch, 0) == batch


def test_scores_hold_the_metrics_of_the_last_validation() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=4, val_check_interval=2)
    trainer.fit(module, tiny.data(labeled=8, unlabeled=8))
    scores = module.scores["student"]
    torch.testing.assert_close(scores["miou"], trainer.callback_metrics["val_miou"])
    assert module.scored_step == 4


def test_a_sanity_check_stores_no_scores() -> None:
    module = Supervised(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=2, num_sanity_val_steps=2, val_check_interval=5)
    trainer.fit(module, tiny.data())
    assert module.scores == {}


def test_pad_to_pads_small_images_in_evaluation_and_crops_the_logits() -> None:
    network = nn.Conv2d(3, 3, 3, padding=1)  # depends on neighboring pixels
    seen: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    network.register_forward_hook(
        lambda _, args, logits: (
            logits + args[0].shape[-1] * torch.eye(3)[0][:, None, None]
        )
    )
    image, label = torch.randn(1, 3, 5, 6), torch.randint(3, (1, 5, 6))
    model = Supervised(
        3, network=network, reproduction=Reproduction(pad_to=(8, 9))
    ).eval()
    padded = functional.pad(image, (0, 3, 0, 3))
    with torch.no_grad():
        expected = model(padded)[..., :5, :6]
        assert not torch.allclose(model(image), expected)
    seen.clear()
    loss = functional.cross_entropy(expected, label).item()
    loader = tiny.loader({"image": image, "label": label})
    for run, key in (("validate", "val_loss"), ("test", "test_loss")):
        (logged,) = getattr(tiny.trainer(), run)(model, loader, verbose=False)
        assert logged[key] == pytest.approx(loss, rel=1e-5)
    batch = {"image": image, "name": ["a"], "size": torch.tensor([[5, 6]])}
    assert model.predict_step(batch, 0)["label"][0].equal(expected[0].argmax(0))
    assert set(seen) == {(8, 9)}


@pytest.mark.parametrize(
    ("size", "padded"), [((8, 9), (8, 9)), ((10, 12), (10, 12)), ((10, 6), (10, 9))]
)
def test_pad_to_leaves_larger_sides_alone(
    size: tuple[int, int], padded: tuple[int, int]
) -> None:
    seen: list[tuple[int, ...]] = []
    network = nn.Conv2d(3, 3, 1)
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    model = Supervised(3, network=network, reproduction=Reproduction(pad_to=(8, 9)))
    logits = model.predict_logits(torch.randn(1, 3, *size), "student")
    assert logits.shape == (1, 3, *size)
    assert seen == [padded]


def test_pad_to_does_not_pad_training_images() -> None:
    seen: list[tuple[int, ...]] = []
    network = tiny.network()
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    Supervised(
        3, network=network, reproduction=Reproduction(pad_to=(16, 16))
    ).training_step(tiny.batch(), 0)
    assert seen == [(8, 8)]


def test_pad_to_pads_each_smaller_window() -> None:
    seen: list[tuple[int, ...]] = []
    network = nn.Conv2d(3, 3, 1)
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    model = Supervised(
        3, network=network, reproduction=Reproduction(pad_to=(6, 4)), window=(4, 4)
    )
    assert model.predict_logits(torch.randn(1, 3, 4, 6), "student").shape == (
        1,
        3,
        4,
        6,
    )
    assert seen == [(6, 4)] * 2


@pytest.mark.parametrize("assigned", [False, True])
@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_a_metric_added_by_a_subclass_is_logged_for_every_network(
    method: type[Supervised], assigned: bool
) -> None:
    class WithDice(method):  # type: ignore[misc, valid-type]
        def configure_metrics(self) -> MetricCollection:
            metrics: MetricCollection = super().configure_metrics()
            dice = MulticlassF1Score(self.num_classes, ignore_index=255)
            if assigned:
                metrics["dice"] = dice
            else:
                metrics.add_metrics({"dice": dice})
            return metrics

    model = WithDice(tiny.CLASSES, network=tiny.network())
    (logged,) = tiny.trainer().validate(model, tiny.data(), verbose=False)
    assert logged["val_dice"] == logged[f"val_dice_{model.evaluate}"]
    assert {f"val_dice_{network}" for network in model.networks} <= logged.keys()
    model.eval()
    predicted, truth = [], []
    for image, label in tiny.pairs(4, seed=2):
        predicted.append(model(image[None]).argmax(1)[0])
        truth.append(label)
    expected = multiclass_f1_score(
        torch.stack(predicted), torch.stack(truth), tiny.CLASSES, ignore_index=255
    )
    assert logged["val_dice"] == pytest.approx(expected.item())


def test_a_metric_per_class_is_logged_under_each_class_name() -> None:
    class WithRecall(Supervised):
        def configure_metrics(self) -> MetricCollection:
            metrics = super().configure_metrics()
            recall = MulticlassRecall(self.num_classes, average=None, ignore_index=255)
            metrics.add_metrics({"recall": recall})
            return metrics

    names = ["sky", "road", "tree"]
    model = WithRecall(tiny.CLASSES, network=tiny.network(), class_names=names)
    for method, stage, seed in (("validate", "val", 2), ("test", "test", 3)):
        run = getattr(tiny.trainer(), method)
        (logged,) = run(model, tiny.data(), verbose=False)
        model.eval()
        image, label = map(torch.stack, zip(*tiny.pairs(4, seed=seed), strict=True))
        predicted = model(image).argmax(1)
        for index, name in enumerate(names):
            right = (predicted == index) & (label == index)
            expected = right.sum().item() / (label == index).sum().item()
            assert logged[f"{stage}_recall/{name}"] == pytest.approx(expected)
        assert f"{stage}_recall" not in logged
        assert f"{stage}_recall_student" not in logged


def test_a_class_without_pixels_is_logged_as_nan_and_left_out_of_the_mean() -> None:
    network = nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        network.bias[3] = -1e9  # type: ignore[index]
    model = Supervised(4, network=network, class_names=["a", "b", "c", "absent"])
    (logged,) = tiny.trainer().validate(model, tiny.data(), verbose=False)
    assert math.isnan(logged["val_iou/absent"])
    present = [logged[f"val_iou/{name}"] for name in "abc"]
    assert logged["val_miou"] == pytest.approx(sum(present) / 3)
