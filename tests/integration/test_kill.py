import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"


@pytest.mark.slow
def test_a_run_killed_twice_and_resumed_ends_with_the_same_weights() -> None:
    command = [sys.executable, str(SCRIPT), "--times", "2", "--steps", "40"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "2 kills, 40 steps: equal, bit for bit" in process.stdout, process.stderr
    assert process.returncode == 0
