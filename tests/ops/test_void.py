import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_classmix import ops


def test_void_is_255() -> None:
    assert ops.VOID == 255


def test_void_invalid_labels_writes_255_for_values_that_are_no_class() -> None:
    label = torch.tensor([[[0, 1, 2], [3, -1, 255]]])
    expected = torch.tensor([[[0, 1, 2], [255, 255, 255]]])
    assert torch.equal(ops.void_invalid_labels(label, num_classes=3), expected)


def test_void_invalid_labels_keeps_class_indices_that_are_not_contiguous() -> None:
    label = torch.tensor([[[0, 5, 11]]])
    assert torch.equal(ops.void_invalid_labels(label, num_classes=12), label)


def test_void_invalid_labels_replaces_an_ignore_index_below_num_classes() -> None:
    label = torch.tensor([[[0, 11, 255]]])  # 11 is void, and 255 is no class
    result = ops.void_invalid_labels(label, num_classes=12, ignore_index=11)
    assert torch.equal(result, torch.tensor([[[0, 255, 255]]]))


def test_void_invalid_labels_writes_the_given_void_value() -> None:
    label = torch.tensor([[[1, 7, 255]]])
    result = ops.void_invalid_labels(label, num_classes=2, void=-100)
    assert torch.equal(result, torch.tensor([[[1, -100, -100]]]))


def test_void_invalid_labels_does_not_change_its_input() -> None:
    label = torch.tensor([[[0, 9]]])
    ops.void_invalid_labels(label, num_classes=2)
    assert torch.equal(label, torch.tensor([[[0, 9]]]))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    num_classes=st.integers(1, 300),
    ignore_index=st.integers(-1, 300),
)
def test_void_invalid_labels_agrees_with_a_loop_over_the_pixels(
    values: list[int], num_classes: int, ignore_index: int
) -> None:
    values = [*values, 0, ignore_index, num_classes - 1, num_classes, -1]
    result = ops.void_invalid_labels(
        torch.tensor([[values]]), num_classes, ignore_index=ignore_index, void=-7
    )
    classes = set(range(num_classes)) - {ignore_index}
    expected = [value if value in classes else -7 for value in values]
    assert result.flatten().tolist() == expected


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    values=st.lists(st.integers(-300, 300), min_size=1, max_size=20),
    num_classes=st.integers(1, 255),
)
def test_void_invalid_labels_changes_nothing_the_second_time(
    values: list[int], num_classes: int
) -> None:
    once = ops.void_invalid_labels(torch.tensor([[values]]), num_classes)
    assert torch.equal(ops.void_invalid_labels(once, num_classes), once)
