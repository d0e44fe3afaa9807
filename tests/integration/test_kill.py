import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_as_if_it_had_not_been() -> None:
    command = [sys.executable, str(SCRIPT), "--times", "2", "--steps", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "2 kills, 40 steps: equal, bit for bit" in done.stdout, done.stderr
    assert done.returncode == 0
