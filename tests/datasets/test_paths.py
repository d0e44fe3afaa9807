import os
import pickle
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from lightning_classmix.datasets.paths import Paths

ODD = ["a b/c.png", "ä/日本/🦊.PNG", "line\nbreak.png", "#1.png", "a,b\t.png", "x"]
UNDECODABLE = os.fsdecode(b"caf\xe9.png")  # Latin-1, on a disk of UTF-8


class Shared(Dataset[tuple[str, list[bool]]]):
    """Say from within a worker whether the tensors of ``paths`` are shared."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, list[bool]]:
        tensors = vars(self.paths).values()
        return self.paths[index].name, [tensor.is_shared() for tensor in tensors]


def test_unusual_names_are_restored_unchanged() -> None:
    names = [*ODD, UNDECODABLE]
    paths = Paths(names)
    assert list(paths.strings()) == names
    assert list(paths) == [Path(name) for name in names]
    assert [paths[index] for index in range(len(paths))] == [*map(Path, names)]


def test_names_that_are_not_utf8_are_restored_unchanged() -> None:
    assert os.fsencode(Paths([UNDECODABLE])[0]) == b"caf\xe9.png"


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_any_strings_are_restored(names: list[str]) -> None:
    assert list(Paths(names).strings()) == names


def test_negative_indices_count_from_the_end_and_larger_indices_are_errors() -> None:
    paths = Paths(["a", "bc", "def"])
    assert (paths[-1], paths[-3]) == (Path("def"), Path("a"))
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            paths[beyond]


def test_some_paths_are_taken_in_the_order_asked_for() -> None:
    paths = Paths(["a", "bc", "def"])
    assert list(paths.take([2, 0, 0, -2]).strings()) == ["def", "a", "a", "bc"]
    with pytest.raises(IndexError):
        paths.take([3])


def test_no_paths_are_false_and_empty() -> None:
    for paths in (Paths(), Paths([]), Paths(["a"]).take([])):
        assert not paths
        assert list(paths) == []
        with pytest.raises(IndexError):
            paths[0]


def test_paths_survive_pickling() -> None:
    assert list(pickle.loads(pickle.dumps(Paths(ODD))).strings()) == ODD


def test_two_tensors_are_all_that_is_held() -> None:
    held = list(vars(Paths(ODD)).values())
    assert len(held) == 2
    assert all(isinstance(tensor, torch.Tensor) for tensor in held)


def test_reading_every_path_keeps_no_object() -> None:
    paths = Paths(f"folder/{index:06d}.png" for index in range(2000))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(len(paths)):
        _ = paths[index]
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000  # a list of 2,000 paths takes ten times as much


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_shares_the_tensors_and_copies_none(method: str) -> None:
    paths = Paths(ODD)
    loader = DataLoader(
        Shared(paths), batch_size=None, num_workers=1, multiprocessing_context=method
    )
    for (name, shared), path in zip(loader, paths, strict=True):
        assert name == path.name
        assert shared == [method == "spawn"] * 2  # forked memory needs no sharing
