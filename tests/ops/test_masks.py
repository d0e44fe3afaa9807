import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_classmix import ops

MASKS: dict[str, Callable[[torch.Generator | None], Tensor]] = {
    "classmix": lambda generator: ops.classmix_mask(
        torch.arange(8).repeat(4, 8, 1), num_classes=8, generator=generator
    ),
    "cutmix": lambda generator: ops.cutmix_mask((4, 32, 32), generator=generator),
    "cowmix": lambda generator: ops.cowmix_mask((4, 32, 32), generator=generator),
}


SHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "classmix": lambda label: ops.classmix_mask(label, num_classes=5),
    "cutmix": lambda label: ops.cutmix_mask((len(label), *label.shape[1:])),
    "cowmix": lambda label: ops.cowmix_mask((len(label), *label.shape[1:])),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classes_of(label: Tensor, where: Tensor) -> tuple[int, ...]:
    return tuple(sorted(set(label[where].tolist())))


def loop_class_mask(label: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Add up the pixels of each drawn class, as the authors do for one image."""
    mask = torch.zeros_like(label)
    for index in classes:
        mask += (label == index).long()
    return mask.bool()


@st.composite
def label_maps(draw: st.DrawFn) -> Tensor:
    """Draw label maps of the classes {0, 1, 2, 5, 11} and of every kind of void."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
    value = st.sampled_from([0, 1, 2, 5, 11, 255, -1, 12])
    count = math.prod(shape)
    values = draw(st.lists(value, min_size=count, max_size=count))
    return torch.tensor(values).view(shape)


# Every mask


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_repeats_under_one_seed_and_differs_under_another(name: str) -> None:
    mask = MASKS[name]
    assert torch.equal(mask(seeded(1)), mask(seeded(1)))
    assert not torch.equal(mask(seeded(1)), mask(seeded(2)))


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_differs_from_the_next_mask_of_the_same_generator(name: str) -> None:
    generator = seeded()
    assert not torch.equal(MASKS[name](generator), MASKS[name](generator))


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_with_a_generator_does_not_use_the_global_generator(name: str) -> None:
    before = torch.get_rng_state()
    MASKS[name](seeded())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_without_a_generator_follows_the_global_seed(name: str) -> None:
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(MASKS[name](None))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_differs_between_the_images_of_a_batch(name: str) -> None:
    mask = MASKS[name](seeded())
    assert len({tuple(image.flatten().tolist()) for image in mask}) > 1


@pytest.mark.parametrize("name", SHAPED)
def test_a_mask_compiles_for_several_shapes(name: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(
        SHAPED[name], fullgraph=True, dynamic=True, backend="eager"
    )
    for shape in ((3, 8, 12), (2, 16, 9)):
        label = torch.randint(5, shape, generator=seeded())
        torch.manual_seed(0)
        expected = SHAPED[name](label)
        torch.manual_seed(0)
        assert torch.equal(compiled(label), expected)


# ClassMix


@pytest.mark.parametrize(
    ("present", "drawn"), [([2], 0), ([0, 2], 1), ([0, 1, 4], 1), ([0, 1, 2, 4], 2)]
)
def test_classmix_mask_draws_half_the_classes_rounded_down(
    present: list[int], drawn: int
) -> None:
    label = torch.tensor(present).repeat(64, 3, 1)  # (B, H, W) = (64, 3, n)
    mask = ops.classmix_mask(label, num_classes=5, generator=seeded())
    assert (mask.sum(dim=2) == drawn).all()


@pytest.mark.parametrize(
    ("present", "drawn"), [([2], 1), ([0, 2], 1), ([0, 1, 4], 2), ([0, 1, 2, 4], 2)]
)
def test_classmix_mask_rounds_half_the_classes_up_with_ceil(
    present: list[int], drawn: int
) -> None:
    label = torch.tensor(present).repeat(64, 3, 1)
    mask = ops.classmix_mask(label, 5, rounding="ceil", generator=seeded())
    assert (mask.sum(dim=2) == drawn).all()


def test_classmix_mask_marks_every_pixel_of_a_drawn_class() -> None:
    label = torch.tensor([[[0, 0, 5], [5, 0, 5]]])
    mask = ops.classmix_mask(label, num_classes=6, generator=seeded())
    assert torch.equal(mask, label == 0) or torch.equal(mask, label == 5)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    label=label_maps(),
    rounding=st.sampled_from(("floor", "ceil")),
    exclude=st.sets(st.sampled_from([0, 5, 11, 7]), max_size=3),
    ignore_index=st.sampled_from([255, 1]),
    seed=st.integers(0, 1000),
)
def test_classmix_mask_agrees_with_the_loop_of_the_paper(
    label: Tensor,
    rounding: Literal["floor", "ceil"],
    exclude: set[int],
    ignore_index: int,
    seed: int,
) -> None:
    mask = ops.classmix_mask(
        label,
        12,
        rounding=rounding,
        exclude=sorted(exclude),
        ignore_index=ignore_index,
        generator=seeded(seed),
    )
    for each, marked in zip(label, mask, strict=True):
        present = set(each.flatten().tolist()) & set(range(12))
        present -= exclude | {ignore_index}
        drawn = classes_of(each, marked)
        assert set(drawn) <= present
        half = len(present) / 2
        assert len(drawn) == (math.floor if rounding == "floor" else math.ceil)(half)
        assert torch.equal(marked, loop_class_mask(each, drawn))


def test_classmix_mask_never_draws_void() -> None:
    label = torch.tensor([0, 1, 255, 255]).repeat(256, 2, 1)
    mask = ops.classmix_mask(label, num_classes=2, generator=seeded())
    assert not mask[label == ops.VOID].any()
    assert (mask.sum(dim=2) == 1).all()  # one class of two: void does not count


@pytest.mark.parametrize("value", [-1, -100, 3, 254, 10**9])
def test_classmix_mask_treats_labels_out_of_range_as_void(value: int) -> None:
    label = torch.tensor([0, 2, value]).repeat(256, 1, 1)
    mask = ops.classmix_mask(label, num_classes=3, generator=seeded())
    assert not mask[..., 2].any()
    assert (mask.sum(dim=2) == 1).all()


def test_classmix_mask_never_draws_an_ignore_index_below_num_classes() -> None:
    label = torch.tensor([0, 1, 3]).repeat(256, 1, 1)
    mask = ops.classmix_mask(label, 4, ignore_index=3, generator=seeded())
    assert not mask[..., 2].any()
    assert (mask.sum(dim=2) == 1).all()


def test_classmix_mask_neither_draws_nor_counts_excluded_classes() -> None:
    label = torch.tensor([0, 1, 2]).repeat(256, 1, 1)
    mask = ops.classmix_mask(label, 3, exclude=[0], generator=seeded())
    assert not mask[..., 0].any()
    assert (mask.sum(dim=2) == 1).all()
    assert mask[..., 1].any()
    assert mask[..., 2].any()


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_classmix_mask_is_empty_if_every_class_is_excluded(
    rounding: Literal["floor", "ceil"],
) -> None:
    label = torch.tensor([[[0, 1, 2]]])
    mask = ops.classmix_mask(label, 3, rounding=rounding, exclude=(0, 1, 2))
    assert not mask.any()


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_classmix_mask_of_void_only_is_empty(
    rounding: Literal["floor", "ceil"],
) -> None:
    label = torch.full((2, 3, 4), ops.VOID)
    assert not ops.classmix_mask(label, 5, rounding=rounding).any()


def test_classmix_mask_of_one_class_is_empty_or_full_when_rounded_up() -> None:
    label = torch.full((2, 3, 4), 1)
    assert not ops.classmix_mask(label, 2).any()
    assert ops.classmix_mask(label, 2, rounding="ceil").all()


def test_classmix_mask_counts_the_classes_per_image() -> None:
    # Over the batch there are four classes, in each image two.
    label = torch.tensor([[[0, 1]], [[2, 3]]]).repeat(64, 1, 1)
    mask = ops.classmix_mask(label, num_classes=4, generator=seeded())
    assert (mask.sum(dim=2) == 1).all()


def test_classmix_mask_never_moves_padding() -> None:
    valid = torch.zeros(64, 4, 4, dtype=torch.bool)
    valid[:, :2] = True
    label = torch.arange(4).repeat(64, 4, 1).where(valid, ops.VOID)
    mask = ops.classmix_mask(label, num_classes=4, generator=seeded())
    assert not mask[~valid].any()


def test_classmix_mask_draws_every_subset_equally_often() -> None:
    count = 6000
    label = torch.tensor([0, 5, 11, 7]).repeat(count, 1, 1)
    mask = ops.classmix_mask(label, num_classes=12, generator=seeded())
    drawn = Counter(classes_of(*pair) for pair in zip(label, mask, strict=True))
    # Six pairs, each with 1000 ± 29 of the draws.
    assert len(drawn) == 6
    assert all(850 < number < 1150 for number in drawn.values())


def test_classmix_mask_draws_independently_per_image() -> None:
    label = torch.tensor([0, 1]).repeat(6001, 1, 1)
    first = ops.classmix_mask(label, 2, generator=seeded())[:, 0, 0].tolist()
    drawn = Counter(pairwise(first))
    assert len(drawn) == 4
    assert all(1350 < number < 1650 for number in drawn.values())  # 1500 ± 34


def test_classmix_mask_does_not_change_the_label() -> None:
    label = torch.tensor([[[0, 1, 255, -1]]])
    before = label.clone()
    ops.classmix_mask(label, num_classes=2, exclude=(1,))
    assert torch.equal(label, before)


@pytest.mark.parametrize("shape", [(4, 4), (1, 3, 4, 4)])
def test_classmix_mask_refuses_labels_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"label must have shape \(B, H, W\), got"):
        ops.classmix_mask(torch.zeros(shape, dtype=torch.int64), num_classes=2)


def test_classmix_mask_refuses_an_unknown_rounding() -> None:
    rounding: Any = "round"
    with pytest.raises(ValueError, match=r"rounding must be .* got 'round'"):
        ops.classmix_mask(torch.zeros(1, 1, 1).long(), 2, rounding=rounding)


@pytest.mark.parametrize("index", [-1, 2, 255])
def test_classmix_mask_refuses_excluded_values_that_are_no_class(index: int) -> None:
    with pytest.raises(
        ValueError, match=rf"exclude must .* \[0, 2\), got \({index},\)"
    ):
        ops.classmix_mask(torch.zeros(1, 1, 1).long(), 2, exclude=[index])


# CutMix


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    area=st.floats(0.1, 0.9),
    seed=st.integers(0, 1000),
)
def test_cutmix_mask_is_one_box_of_the_requested_area(
    height: int, width: int, area: float, seed: int
) -> None:
    mask = ops.cutmix_mask((8, height, width), area=area, generator=seeded(seed))
    in_rows, in_columns = mask.any(2), mask.any(1)
    assert torch.equal(mask, in_rows[:, :, None] & in_columns[:, None, :])
    for line in (in_rows, in_columns):
        starts = functional.pad(line.long(), (1, 0)).diff() == 1
        assert (starts.sum(1) == 1).all()
    # Each side is off by half a pixel at most.
    error = (mask.sum((1, 2)) - area * height * width).abs()
    assert (error <= 0.5 * (height + width) + 0.26).all()


@pytest.mark.parametrize("area", [0.1, 0.25, 0.5, 0.9])
def test_cutmix_mask_covers_the_share_on_average(area: float) -> None:
    mask = ops.cutmix_mask((400, 48, 64), area=area, generator=seeded())
    assert float(mask.float().mean()) == pytest.approx(area, abs=0.005)


def test_cutmix_mask_covers_half_by_default() -> None:
    mask = ops.cutmix_mask((400, 48, 64), generator=seeded())
    assert float(mask.float().mean()) == pytest.approx(0.5, abs=0.005)


def test_cutmix_mask_draws_its_height_log_uniformly() -> None:
    area, count = 0.25, 2000
    mask = ops.cutmix_mask((count, 512, 8), area=area, generator=seeded())
    height = mask.any(2).sum(1)
    quantile = (height / 512).log().div(math.log(area)).sort().values
    distance = (quantile - torch.linspace(0, 1, count)).abs().max()  # of uniform
    assert float(distance) < 0.05  # Kolmogorov and Smirnov: 0.036 once in a hundred


@pytest.mark.parametrize("shape", [(20_000, 1, 4), (20_000, 4, 1)])
def test_cutmix_mask_draws_every_position_equally_often(
    shape: tuple[int, int, int],
) -> None:
    mask = ops.cutmix_mask(shape, generator=seeded()).flatten(1)  # a line of four
    narrow = mask[mask.sum(1) == 2]
    drawn = Counter(narrow.long().argmax(1).tolist())
    # A box of two in a line of four has three positions.
    assert sorted(drawn) == [0, 1, 2]
    mean = len(narrow) / 3
    assert all(0.9 * mean < number < 1.1 * mean for number in drawn.values())


def test_cutmix_mask_reaches_every_border() -> None:
    mask = ops.cutmix_mask((500, 10, 10), area=0.3, generator=seeded())
    for side in (mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]):
        assert 0.05 < float(side.any(1).float().mean()) < 0.95


@pytest.mark.parametrize("area", [-0.5, 0.0, 1.0, 2.0, math.nan])
def test_cutmix_mask_refuses_an_area_out_of_range(area: float) -> None:
    with pytest.raises(ValueError, match=rf"area must be in \(0, 1\), got {area}"):
        ops.cutmix_mask((1, 8, 8), area=area)


# CowMix


def loop_cowmix_mask(noise: Tensor, deviation: float, share: float) -> Tensor:
    """Blur one image pixel by pixel and cut it at the normal quantile."""
    height, width = noise.shape
    blurred = torch.zeros(height, width, dtype=torch.float64)
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"
    )
    for y in range(height):
        for x in range(width):
            distance = (rows - y) ** 2 + (columns - x) ** 2
            kernel = torch.exp(-distance.double() / (2 * deviation**2))
            blurred[y, x] = (kernel * noise).sum() / kernel.sum()
    mean = blurred.mean()
    std = (blurred - mean).square().mean().sqrt()
    return blurred > mean + std * NormalDist().inv_cdf(1 - share)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_cowmix_mask_agrees_with_a_loop_over_the_pixels(share: float) -> None:
    shape, sigma = (3, 10, 12), (1.0, 4.0)
    mask = ops.cowmix_mask(shape, sigma=sigma, share=share, generator=seeded())

    generator = seeded()  # the standard deviations are drawn first, then the noise
    draws = torch.rand(3, generator=generator)
    noise = torch.randn(shape, generator=generator)
    for marked, each, draw in zip(mask, noise, draws.tolist(), strict=True):
        deviation = sigma[0] ** (1 - draw) * sigma[1] ** draw
        assert torch.equal(marked, loop_cowmix_mask(each, deviation, share))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_cowmix_mask_covers_the_share_on_average(share: float) -> None:
    mask = ops.cowmix_mask(
        (200, 48, 64), sigma=(2.0, 8.0), share=share, generator=seeded()
    )
    assert float(mask.float().mean()) == pytest.approx(share, abs=0.02)


def test_cowmix_mask_covers_half_by_default() -> None:
    mask = ops.cowmix_mask((200, 64, 64), generator=seeded())
    assert float(mask.float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_cowmix_mask_is_smooth(sigma: float) -> None:
    shape = (50, 64, 64)
    mask = ops.cowmix_mask(shape, sigma=(sigma, sigma), generator=seeded())
    # Neighbors in Gaussian noise blurred by sigma correlate by exp(-1 / 4 sigma²);
    # their signs differ with probability arccos(correlation) / pi: in noise, 1 / 2.
    expected = math.acos(math.exp(-1 / (4 * sigma**2))) / math.pi
    for dim in (1, 2):
        edges = float(mask.float().diff(dim=dim).abs().mean())
        assert edges == pytest.approx(expected, rel=0.25)


def test_cowmix_mask_draws_the_standard_deviation_per_image() -> None:
    mask = ops.cowmix_mask((100, 48, 48), sigma=(0.5, 16.0), generator=seeded())
    edges = mask.float().diff(dim=2).abs().mean((1, 2))
    assert float(edges.min()) < 0.03 < 0.2 < float(edges.max())


def test_cowmix_mask_of_a_single_pixel_is_empty() -> None:
    assert not ops.cowmix_mask((2, 1, 1)).any()


@pytest.mark.parametrize("share", [-0.5, 0.0, 1.0, 2.0, math.nan])
def test_cowmix_mask_refuses_a_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match=rf"share must be in \(0, 1\), got {share}"):
        ops.cowmix_mask((1, 8, 8), share=share)


@pytest.mark.parametrize("sigma", [(0.0, 1.0), (-1.0, 1.0), (1.0, math.inf)])
def test_cowmix_mask_refuses_standard_deviations_out_of_range(
    sigma: tuple[float, float],
) -> None:
    with pytest.raises(ValueError, match=r"sigma must be greater than 0, got \("):
        ops.cowmix_mask((1, 8, 8), sigma=sigma)


def test_cowmix_mask_refuses_standard_deviations_in_decreasing_order() -> None:
    with pytest.raises(
        ValueError, match=r"sigma must be in increasing order, got \(4.0, 2.0\)"
    ):
        ops.cowmix_mask((1, 8, 8), sigma=(4.0, 2.0))


def test_cowmix_mask_has_standard_deviations_of_8_to_32_pixels_by_default() -> None:
    shape = (4, 64, 64)
    default = ops.cowmix_mask(shape, generator=seeded())
    given = ops.cowmix_mask(shape, sigma=(8.0, 32.0), generator=seeded())
    assert torch.equal(default, given)


class NoCPU(torch.overrides.TorchFunctionMode):
    """Refuse functions that make a tensor on the CPU."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **kwargs or {})
        if isinstance(result, Tensor):
            assert result.device.type != "cpu", function
        return result


@pytest.mark.parametrize("name", ["cutmix_mask", "cowmix_mask"])
def test_a_mask_is_made_on_the_device_that_is_named(name: str) -> None:
    # The device "meta" has shapes and no values, on every machine.
    with NoCPU():
        assert getattr(ops, name)((2, 5, 7), device="meta").device.type == "meta"


def test_classmix_mask_is_made_on_the_device_of_the_label() -> None:
    label = torch.zeros(2, 5, 7, dtype=torch.int64, device="meta")
    assert ops.classmix_mask(label, 3, exclude=[1]).device.type == "meta"
