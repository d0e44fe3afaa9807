import pytest

from lightning_classmix.datasets.yaml_keys import repeated_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", None),
        ("a: 1\nb: {a: 1}\n", None),
        ("a: 1\nb: 2\na: 1\n", "a"),
        ("a: [1, {b: 1, b: 2}]", "b"),
        ("a: {b: {c: 1, c: 2}}", "c"),
        ("x: &x {a: 1}\ny: [*x, *x]\n", None),
        ('1: a\n"1": b\n', None),  # a number and a text
    ],
)
def test_a_key_that_a_mapping_holds_twice_is_found(text: str, key: str | None) -> None:
    assert repeated_key(text) == key


def test_aliases_of_aliases_are_read_once() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert repeated_key("\n".join(lines)) is None
