from typing import Any

import pytest

from lightning_classmix import ClassMix, Supervised
from lightning_classmix.experiments.compare_methods import (
    METHODS,
    Method,
    check_distinct,
    select_methods,
)


@pytest.mark.parametrize("name", METHODS)
def test_every_known_method_is_a_class_with_valid_arguments(name: str) -> None:
    method = METHODS[name]
    method.check(name, {"model": "small_unet"})
    kind = Supervised if name == "supervised" else ClassMix
    assert method.module_class() is kind


def test_methods_keep_their_order_and_a_definition_takes_precedence() -> None:
    mine = {"init_args": {"mixer": "cutmix"}, "decay": 0.5}
    selected = select_methods(["classmix", "supervised"], {"classmix": mine})
    assert list(selected) == ["classmix", "supervised"]
    assert selected["classmix"] == Method("ClassMix", {"mixer": "cutmix"}, 0.5)


def test_an_unknown_method_is_refused_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"got 'clasmix'; did you mean classmix"):
        select_methods(["clasmix"], {})


def test_an_unknown_field_of_a_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got init_arg for mine; did you mean init_"):
        select_methods(["mine"], {"mine": {"init_arg": {}}})


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Method("Nothing"), "must be a subclass of Supervised, got Nothing"),
        (Method("torch.nn.Conv2d"), "subclass of Supervised, got torch.nn.Conv2d"),
        (
            Method(init_args={"treshold": 0.9}),
            "arguments of method mine must be arguments of ClassMix, got treshold; did"
            " you mean threshold",
        ),
        (Method("Supervised", {"mixer": "cutmix"}), "of Supervised, got mixer"),
        (Method(decay=1.0), "decay must be in"),
    ],
)
def test_a_wrong_method_is_refused(method: Method, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method.check("mine", {})


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "seeds must have at least 1 value, got none"), ([1, 2, 1], "got 1, 2, 1")],
)
def test_lists_are_neither_empty_nor_repetitive(
    values: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_distinct("seeds", values)
