"""Print the runs of a folder of results, with paired differences.

python benchmarks/laboratory/table.py [FOLDER]

The difference in brackets is to the Supervised run with few labels of the same data
set, seed, rate and network; both scores are those of the student. ``results`` and
``third`` hold runs of train.py, ``earlier`` those of an earlier loop that is not in the
repository.
"""

import json
import sys
from pathlib import Path
from typing import Any

LABORATORY = Path(__file__).parent


def cell(score: float, baseline: dict[str, Any] | None, part: str) -> str:
    """Return a mIoU in points, and its difference to the student of a baseline."""
    if baseline is None or part not in baseline["student"]:
        return f"{score:.1f}"
    return f"{score:.1f} ({score - baseline['student'][part]:+.1f})"


FORM = ("lr", "steps", "height", "model", "options", "encoder_factor")
"""Settings that a run shares with its baseline."""


def baseline_of(name: str, runs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the Supervised run with few labels of the same set, seed and form."""

    def form(run: dict[str, Any]) -> list[str]:
        return [run.get("settings", {}).get(key, "None") for key in FORM]

    dataset, _, _, seed = name.rsplit("_", 3)
    for other, run in runs.items():
        start, end = other.startswith(f"{dataset}_supervised"), f"_few_{seed}"
        if start and other.endswith(end) and form(run) == form(runs[name]):
            return None if other == name else run
    return None


def main() -> None:
    """Print one row for each result file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else LABORATORY / "results"
    runs = {
        path.stem: json.loads(path.read_text())
        for path in sorted(folder.glob("*.json"))
    }
    networks = ("student", "teacher")
    parts = ("validation", "held_out")
    titles = [f"{network}, {part}" for network in networks for part in parts]
    print(f"| run | {' | '.join(titles)} |")
    print(f"| --- {'| --- ' * len(titles)}|")
    for name, run in runs.items():
        baseline = baseline_of(name, runs)
        cells = [
            cell(run[network][part], baseline, part)
            if part in run.get(network, {})
            else "-"
            for network in networks
            for part in parts
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
