"""Runs with one seed are equal bit for bit on the CPU, whatever loads the images."""

from pathlib import Path

import pytest

from tests.integration.test_resume import run, same


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_runs_with_one_seed_are_equal_for_any_number_of_workers(
    workers: int, tmp_path: Path
) -> None:
    expected, batches = run(tmp_path / "first", workers=0, every=0)
    found, other_batches = run(tmp_path / "second", workers=workers, every=0)
    assert other_batches.values == batches.values
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "scores"):
        assert same(expected[part], found[part]), part
