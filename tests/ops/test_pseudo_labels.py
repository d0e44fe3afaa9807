import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_classmix import ops
from lightning_classmix.ops import pseudo_labels

KINDS: tuple[ops.PixelWeighting, ...] = get_args(ops.PixelWeighting)


def loop_pseudo_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Take the softmax and its largest entry, pixel by pixel."""
    batch, _, height, width = logits.shape
    confidence = torch.zeros(batch, height, width)
    label = torch.zeros(batch, height, width, dtype=torch.int64)
    for index in torch.cartesian_prod(*map(torch.arange, (batch, height, width))):
        b, y, x = index.tolist()
        scores = [math.exp(score) for score in logits[b, :, y, x].tolist()]
        label[b, y, x] = max(range(len(scores)), key=scores.__getitem__)
        confidence[b, y, x] = max(scores) / sum(scores)
    return confidence, label


def loop_pixel_weight(
    confidence: Tensor, kind: str, threshold: float, valid: Tensor
) -> Tensor:
    """Weight the pixels of one image as the authors' loop; invalid pixels get 0."""
    pixels: list[Any] = list(
        zip(confidence.flatten().tolist(), valid.flatten().tolist(), strict=True)
    )
    confident = [pixel >= threshold and counts for pixel, counts in pixels]
    share = sum(confident) / max(1, sum(counts for _, counts in pixels))
    weight = {
        "confident_share": [share * counts for _, counts in pixels],
        "confident_share_per_image": [share * counts for _, counts in pixels],
        "confident_pixels": [float(each) for each in confident],
        "uniform": [float(counts) for _, counts in pixels],
    }[kind]
    return torch.tensor(weight).view_as(confidence)


def test_pseudo_label_takes_the_most_probable_class_and_its_probability() -> None:
    odds = torch.tensor([[1.0, 2.0, 5.0], [6.0, 1.0, 1.0]])  # (pixels, C)
    confidence, label = ops.pseudo_label(odds.log().mT.view(1, 3, 1, 2))
    assert torch.equal(label, torch.tensor([[[2, 0]]]))
    torch.testing.assert_close(confidence, torch.tensor([[[0.625, 0.75]]]))


def test_pseudo_label_agrees_with_a_loop_over_the_pixels() -> None:
    logits = 3 * torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    confidence, label = ops.pseudo_label(logits)
    expected_confidence, expected_label = loop_pseudo_label(logits)
    assert torch.equal(label, expected_label)
    torch.testing.assert_close(confidence, expected_confidence)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("block", [1, 7, 24, 10_000])
def test_pseudo_label_by_blocks_equals_softmax_and_max_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, block: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(pseudo_labels, "_BLOCK", block)
    logits = 3 * torch.randn(2, 3, 5, 8).to(dtype)[..., 1:]  # not contiguous
    wide = torch.promote_types(dtype, torch.float32)
    expected, index = logits.softmax(1, dtype=wide).max(1)
    confidence, label = ops.pseudo_label(logits)
    torch.testing.assert_close(confidence, expected)
    assert torch.equal(label, index)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    scores=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=12),
    shift=st.floats(-50, 50, width=32),
)
def test_pseudo_label_confidence_is_at_least_chance_and_ignores_a_shift(
    scores: list[float], shift: float
) -> None:
    logits = torch.tensor(scores, dtype=torch.float64)[None, :, None, None]
    confidence, label = ops.pseudo_label(logits)
    assert 1 / len(scores) - 1e-12 <= float(confidence) <= 1 + 1e-12
    assert scores[int(label)] == max(scores)
    torch.testing.assert_close(ops.pseudo_label(logits + shift)[0], confidence)


def test_pseudo_label_of_a_single_class_has_confidence_one() -> None:
    confidence, label = ops.pseudo_label(torch.randn(1, 1, 2, 2))
    assert torch.equal(confidence, torch.ones(1, 2, 2))
    assert torch.equal(label, torch.zeros(1, 2, 2, dtype=torch.int64))


def test_pseudo_label_returns_class_indices_that_are_not_contiguous() -> None:
    logits = torch.zeros(1, 12, 1, 3)
    for column, index in enumerate([0, 5, 11]):
        logits[0, index, 0, column] = 9.0
    assert torch.equal(ops.pseudo_label(logits)[1], torch.tensor([[[0, 5, 11]]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_pseudo_label_does_not_overflow_for_the_largest_logits_of_a_dtype(
    dtype: torch.dtype,
) -> None:
    most = torch.finfo(dtype).max
    logits = torch.tensor([-most, most, 0.0], dtype=dtype)[None, :, None, None]
    confidence, label = ops.pseudo_label(logits)
    assert float(confidence) == 1
    assert int(label) == 1


def test_pseudo_label_does_not_round_bfloat16_past_the_threshold() -> None:
    # Two classes 3.390625 apart: the better one has probability 0.9674, for which
    # bfloat16 has nothing nearer than 0.96875.
    logits = torch.tensor([3.390625, 0.0], dtype=torch.bfloat16)[None, :, None, None]
    assert float(logits.softmax(1).max()) == 0.96875
    confidence, _ = ops.pseudo_label(logits)
    assert 0.967 < float(confidence) < 0.968


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5), (1, 2, 3, 4, 5)])
def test_pseudo_label_refuses_logits_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"logits must have shape \(B, C, H, W\), got"):
        ops.pseudo_label(torch.zeros(shape))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("confident_share", [0.5, 0.5, 0.5, 0.5]),
        ("confident_pixels", [1.0, 0.0, 1.0, 0.0]),
        ("uniform", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_pixel_weight_follows_its_rules(
    kind: ops.PixelWeighting, expected: list[float]
) -> None:
    confidence = torch.tensor([0.99, 0.9, 0.97, 0.5]).view(2, 1, 2)
    weight = ops.pixel_weight(confidence, kind)
    assert torch.equal(weight, torch.tensor(expected).view(2, 1, 2))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("confident_share", [0.0, 1 / 3, 1 / 3, 1 / 3]),
        ("confident_share_per_image", [0.0, 0.0, 0.5, 0.5]),
        ("confident_pixels", [0.0, 0.0, 1.0, 0.0]),
        ("uniform", [0.0, 1.0, 1.0, 1.0]),
    ],
)
def test_pixel_weight_of_padding_is_zero_and_padding_does_not_count(
    kind: ops.PixelWeighting, expected: list[float]
) -> None:
    confidence = torch.tensor([0.99, 0.9, 0.97, 0.5]).view(2, 1, 2)
    valid = torch.tensor([False, True, True, True]).view(2, 1, 2)
    weight = ops.pixel_weight(confidence, kind, valid=valid)
    torch.testing.assert_close(weight, torch.tensor(expected).view(2, 1, 2))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    pixels=st.lists(
        st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=12
    ),
    threshold=st.floats(0, 1, width=32),
)
def test_pixel_weight_agrees_with_a_loop_over_the_pixels(
    kind: ops.PixelWeighting, pixels: list[tuple[float, bool]], threshold: float
) -> None:
    confidence = torch.tensor([[[pixel for pixel, _ in pixels]]])
    valid = torch.tensor([[[counts for _, counts in pixels]]])
    weight = ops.pixel_weight(confidence, kind, threshold=threshold, valid=valid)
    expected = loop_pixel_weight(confidence, kind, threshold, valid)
    torch.testing.assert_close(weight, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_weight_does_not_depend_on_the_confidence_of_padding(
    kind: ops.PixelWeighting,
) -> None:
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(2, 3, 4, generator=generator)
    valid = torch.rand(2, 3, 4, generator=generator) < 0.5
    weights = [
        ops.pixel_weight(
            confidence.where(valid, other), kind, threshold=0.5, valid=valid
        )
        for other in (0.0, 1.0)
    ]
    assert torch.equal(*weights)


def test_pixel_weight_counts_the_threshold_itself_as_confident() -> None:
    confidence = torch.tensor([[[0.968, 0.96799]]])
    weight = ops.pixel_weight(confidence, "confident_pixels", threshold=0.968)
    assert torch.equal(weight, torch.tensor([[[1.0, 0.0]]]))


def test_pixel_weight_has_the_threshold_of_the_paper_by_default() -> None:
    confidence = torch.tensor([[[0.9681, 0.9679]]])
    weight = ops.pixel_weight(confidence, "confident_pixels")
    assert torch.equal(weight, torch.tensor([[[1.0, 0.0]]]))


def test_pixel_weight_is_the_share_over_the_whole_batch() -> None:
    confidence = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])
    weight = ops.pixel_weight(confidence, "confident_share")
    assert torch.equal(weight, torch.full((2, 2, 2), 0.5))


def test_pixel_weight_can_be_the_share_of_each_image() -> None:
    confidence = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])
    weight = ops.pixel_weight(confidence, "confident_share_per_image")
    assert torch.equal(weight, confidence)


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_weight_of_nothing_valid_is_zero(kind: ops.PixelWeighting) -> None:
    nothing = torch.zeros(2, 2, 2, dtype=torch.bool)
    weight = ops.pixel_weight(torch.ones(2, 2, 2), kind, valid=nothing)
    assert torch.equal(weight, torch.zeros(2, 2, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_weight_of_everything_valid_equals_that_without_valid(
    kind: ops.PixelWeighting,
) -> None:
    confidence = torch.rand(1, 3, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 3, 4, dtype=torch.bool)
    weight = ops.pixel_weight(confidence, kind, threshold=0.5)
    again = ops.pixel_weight(confidence, kind, threshold=0.5, valid=valid)
    assert torch.equal(weight, again)


@pytest.mark.parametrize(
    ("valid", "share"),
    [(None, 0.5), ([False, True, True, True], 1 / 3), ([False] * 4, 0.0)],
)
def test_confident_share_is_the_share_of_the_valid_pixels(
    valid: list[bool] | None, share: float
) -> None:
    confidence = torch.tensor([0.99, 0.9, 0.968, 0.5]).view(2, 1, 2)
    where = None if valid is None else torch.tensor(valid).view(2, 1, 2)
    result = ops.confident_share(confidence, valid=where)
    torch.testing.assert_close(result, torch.tensor(share))


def test_confident_share_refuses_confidence_of_another_shape() -> None:
    with pytest.raises(
        ValueError, match=r"confidence must have shape \(B, H, W\), got \(2, 2\)"
    ):
        ops.confident_share(torch.ones(2, 2))


def test_pixel_weight_refuses_an_unknown_kind() -> None:
    kind: Any = "threshold"
    with pytest.raises(ValueError, match=r"kind must be .* got 'threshold'"):
        ops.pixel_weight(torch.ones(1, 2, 2), kind)


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4)])
def test_pixel_weight_refuses_confidence_of_another_shape(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(
        ValueError, match=r"confidence must have shape \(B, H, W\), got"
    ):
        ops.pixel_weight(torch.ones(shape), "uniform")


class OtherDevice(Tensor):
    """A tensor on the CPU that reports another device, so that its code runs."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("place", ["cpu", "other device", "compiler"])
def test_pseudo_label_is_the_same_on_every_device_and_under_the_compiler(
    place: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, 4, 3, 5, generator=generator).to(dtype)
    logits[0, :, 0, 0] = torch.nan
    if place == "other device":
        logits = logits.as_subclass(OtherDevice)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: place == "compiler")
    confidence, label = ops.pseudo_label(logits)
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    expected = torch.softmax(logits.as_subclass(Tensor), 1, dtype=precise).max(1)
    assert confidence.dtype == precise
    torch.testing.assert_close(
        confidence.as_subclass(Tensor), expected.values, equal_nan=True
    )
    assert torch.equal(label.as_subclass(Tensor), expected.indices)


class SoftmaxSizes(torch.overrides.TorchFunctionMode):
    """Note the number of pixels of each softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is Tensor.softmax:
            self.sizes.append(args[0].shape[2:].numel())
        return function(*args, **kwargs or {})


@pytest.mark.parametrize(("block", "sizes"), [(24, [3] * 5), (1, [1] * 15)])
def test_pseudo_label_on_the_cpu_keeps_blocks_of_logits_in_the_cache(
    block: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudo_labels, "_BLOCK", block)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with SoftmaxSizes() as mode:
        ops.pseudo_label(torch.zeros(2, 4, 3, 5))
    assert mode.sizes == sizes


def test_confident_share_has_the_threshold_of_the_paper_by_default() -> None:
    assert ops.confident_share(torch.tensor([[[0.968, 0.9679]]])) == 0.5
