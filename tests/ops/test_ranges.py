import ast
import inspect
import math
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

import lightning_classmix
from lightning_classmix.ops.ranges import (
    RANGES,
    Range,
    check_choice,
    check_classes,
    check_known,
    check_ranges,
    similar,
)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Range(0), "at least 0"),
        (Range(0, excluded=(0,)), "greater than 0"),
        (Range(0, 1), "in [0, 1]"),
        (Range(0, 1, excluded=(1,)), "in [0, 1)"),
        (Range(0, 1, excluded=(0,)), "in (0, 1]"),
        (Range(0, 1, excluded=(0, 1)), "in (0, 1)"),
    ],
)
def test_a_range_is_written_as_an_interval(interval: Range, text: str) -> None:
    assert str(interval) == text


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_the_ends_of_a_range_belong_to_it_unless_excluded(value: float) -> None:
    assert Range(0, 1).holds(value)
    assert Range(0, 1, excluded=(0, 1)).holds(value) is (value == 0.5)
    assert Range(0, 1, excluded=(0,)).holds(value) is (value != 0)
    assert Range(0, 1, excluded=(1,)).holds(value) is (value != 1)


@pytest.mark.parametrize(
    ("interval", "value"), [(Range(0, 1), -0.1), (Range(0, 1), 1.1), (Range(1), 0)]
)
def test_a_range_does_not_hold_numbers_beyond_its_ends(
    interval: Range, value: float
) -> None:
    assert not interval.holds(value)


def test_a_range_without_upper_end_holds_every_larger_finite_number() -> None:
    assert Range(0).holds(1e300)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_range_holds_nan_or_infinity(value: float) -> None:
    assert not any(interval.holds(value) for interval in RANGES.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.5])
def test_the_error_names_the_argument_its_range_and_its_value(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^lr must be at least 0, got {value}$"):
        check_ranges(lr=value)


@pytest.mark.parametrize(
    "pair", [[5, 0], (5, 0), (0, 5)], ids=["list", "second", "first"]
)
def test_each_number_of_a_pair_is_checked(pair: Any) -> None:
    message = rf"window must be at least 1, got \({pair[0]}, {pair[1]}\)$"
    with pytest.raises(ValueError, match=message):
        check_ranges(window=pair)


def test_none_and_pairs_within_the_range_pass() -> None:
    check_ranges(window=(1, 1), scale=[0.5, 2.0], size=None)


def test_every_argument_of_a_call_is_checked() -> None:
    with pytest.raises(ValueError, match=r"^threshold must be in \[0, 1\], got 2$"):
        check_ranges(lr=0.1, size=None, threshold=2)


def test_the_error_ends_with_the_reason() -> None:
    with pytest.raises(
        ValueError, match=r"at least 2, got 1; ClassMix pastes each image into another$"
    ):
        check_ranges(unlabeled_batch_size=1)


def test_a_choice_must_be_among_the_names() -> None:
    check_choice("augment", "none", ("strong", "none"))
    with pytest.raises(ValueError, match=r"^augment must be one of a, b, got 'c'$"):
        check_choice("augment", "c", {"a": 1, "b": 2})
    with pytest.raises(ValueError, match=r"^augment must be one of a, b, got None$"):
        check_choice("augment", None, ["a", "b"])


def test_every_range_belongs_to_an_argument_of_the_package_or_the_trainer() -> None:
    arguments = {*inspect.signature(Trainer.__init__).parameters, "seed_everything"}
    for file in Path(lightning_classmix.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                named = [*node.args.args, *node.args.kwonlyargs]
                arguments.update(argument.arg for argument in named)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                arguments.add(node.target.id)  # field of a dataclass
    assert RANGES.keys() <= arguments


@pytest.mark.parametrize(
    ("class_names", "palette", "message"),
    [
        (["a"], None, "class_names must hold 2 names, got 1"),
        (
            ["a", "b\x1b[31m"],
            None,
            r"must hold printable characters, got 'b\\x1b\[31m'",
        ),
        (None, [(0, 0, 0)], "palette must hold 2 colors, got 1"),
        (None, [(0, 0, 0), (0, 0, 256)], r"3 values in \[0, 255\], got \(0, 0, 256\)"),
        (None, [(0, 0, 0), (0, 0)], r"3 values in \[0, 255\], got \(0, 0\)"),
    ],
)
def test_names_and_colors_that_do_not_fit_the_classes_are_refused(
    class_names: Any, palette: Any, message: str
) -> None:
    check_classes(2, ["a", "b c"], [(0, 0, 0), (255, 255, 255)])
    check_classes(2, None, None)
    with pytest.raises(ValueError, match=message):
        check_classes(2, class_names, palette)


ALLOWED_AND_REFUSED: dict[str, tuple[list[float], list[float]]] = {
    "accumulate_grad_batches": ([1], [0]),
    "area": ([0.01, 0.99], [-0.1, 0, 1, 1.1]),
    "aux_weight": ([0, 9], [-0.1]),
    "batch_size": ([1], [0]),
    "check_val_every_n_epoch": ([1], [0]),
    "class_weights": ([0, 9], [-0.1]),
    "crop": ([2], [1]),
    "decay": ([0, 0.999], [-0.1, 1, 1.1]),
    "encoder_layer_decay": ([0.01, 1], [-0.1, 0, 1.1]),
    "encoder_lr_factor": ([0, 9], [-0.1]),
    "gradient_clip_val": ([0, 9], [-0.1]),
    "in_channels": ([1], [0]),
    "jitter": ([0, 1], [-0.1, 1.1]),
    "jobs": ([1], [0]),
    "labeled_only_steps": ([0], [-1]),
    "log_every_n_steps": ([0], [-1]),
    "lr": ([0, 9], [-0.1]),
    "mean": ([0, 1], [-0.1, 1.1]),
    "num_classes": ([2, 255], [1, 256]),
    "num_workers": ([0], [-1]),
    "pad_to": ([1], [0]),
    "ramp_steps": ([0], [-1]),
    "rates": ([0.01, 9], [-0.1, 0]),
    "scale": ([0.01, 1, 9], [-1, 0]),
    "seed": ([0, 2**32 - 1], [-1, 2**32]),
    "seeds": ([0, 2**32 - 1], [-1, 2**32]),
    "seed_everything": ([0, 2**32 - 1], [-1, 2**32]),
    "share": ([0.01, 0.99], [-0.1, 0, 1, 1.1]),
    "sigma": ([0.01, 1, 99], [-1, 0]),
    "size": ([2, 32767], [1, 32768]),
    "std": ([0.01, 1], [-1, 0, 1.1]),
    "steps": ([1], [0]),
    "steps_per_epoch": ([1], [0]),
    "threads": ([1], [0]),
    "threshold": ([0, 1], [-0.1, 1.1]),
    "unlabeled_batch_size": ([2], [1]),
    "unlabeled_weight": ([0, 9], [-0.1]),
    "val_batch_size": ([1], [0]),
    "val_check_interval": ([0.01, 1, 9], [-1, 0]),
    "weight_decay": ([0, 9], [-0.1]),
    "window": ([1], [0]),
}


def test_every_range_ends_where_the_documentation_says() -> None:
    rows = ALLOWED_AND_REFUSED.keys()
    assert rows == RANGES.keys(), "the table of this test needs a row for each range"
    for name, (allowed, refused) in ALLOWED_AND_REFUSED.items():
        assert all(RANGES[name].holds(value) for value in allowed), name
        assert not any(RANGES[name].holds(value) for value in refused), name


def test_ranges_that_surprise_have_a_reason() -> None:
    reasons = {name: each.reason for name, each in RANGES.items() if each.reason}
    assert reasons.keys() == {"crop", "mean", "std", "unlabeled_batch_size"}
    assert len({*reasons.values()}) == 4


def test_whole_numbers_of_a_range_are_written_in_full() -> None:
    assert str(RANGES["seed"]) == "in [0, 4294967295]"
    assert str(Range(4294967295)) == "at least 4294967295"


def test_an_unknown_name_is_answered_with_up_to_five_similar_names() -> None:
    known = [f"resnet{depth}" for depth in (101, 18, 34, 50, 152, 10)]
    check_known("encoder", "resnet18", iter(known))
    message = (
        r"^encoder must be known, got 'resnet'; did you mean resnet50, resnet34,"
        r" resnet18, resnet10, resnet152\?$"
    )
    with pytest.raises(ValueError, match=message):
        check_known("encoder", "resnet", iter(known))


def test_a_name_unlike_all_others_is_answered_with_the_first_five() -> None:
    with pytest.raises(ValueError, match=r"did you mean a, b, c, d, e\?$"):
        check_known("encoder", "xyz", "fbaedc")


@pytest.mark.parametrize(
    ("name", "names", "end"),
    [
        ("clasmix", ["classmix", "none"], "; did you mean classmix?"),
        ("abcd", ["abxy"], "; did you mean abxy?"),  # half of it is alike
        ("abcd", ["axyz"], ""),
        ("abcd", ["abcd"], ""),
        ("abcd", ["abcd", "abce", "abcf"], "; did you mean abcf, abce?"),
    ],
)
def test_similar_names_end_an_error_message(
    name: str, names: list[str], end: str
) -> None:
    assert similar(name, names) == end


def test_colors_and_names_at_the_ends_of_their_ranges_pass() -> None:
    check_classes(1, [7], [(0, 255, 0)])  # type: ignore[list-item]
    for color in ((0, -1, 0), (0, 0, 0, 0)):
        with pytest.raises(ValueError, match="palette must hold colors of 3 values"):
            check_classes(1, None, [color])
