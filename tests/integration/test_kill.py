import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_disturbed_and_resumed_run_ends_with_the_same_weights() -> None:
    faults = ["sigkill=1", "sigterm=1", "disk=1", "worker=1"]
    command = [sys.executable, str(SCRIPT), "--faults", *faults]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = "4 faults, 80 steps: equal, bit for bit"
    assert expected in process.stdout, process.stdout + process.stderr
    assert process.returncode == 0
