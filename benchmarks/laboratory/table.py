"""Print the runs of a folder of results, with paired differences.

python benchmarks/laboratory/table.py [FOLDER [FOLDER ...]]

The difference in brackets is to the Supervised run with few labels of the same data
set, seed, rate and network, in any of the folders; both scores are those of the
student. The runs of the first folder are printed. ``results``, ``third`` and ``fourth``
hold runs of train.py, ``earlier`` those of an earlier loop that is not in the
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
    folders = [Path(given) for given in sys.argv[1:]] or [LABORATORY / "results"]
    runs: dict[str, Any] = {}
    for folder in reversed(folders):
        names = sorted(folder.glob("*.json"))
        printed = {path.stem: json.loads(path.read_text()) for path in names}
        runs |= printed
    columns = ("student", "teacher", "student_recalibrated")
    networks = [n for n in columns if any(n in run for run in printed.values())]
    parts = ("validation", "held_out")
    titles = [f"{network}, {part}" for network in networks for part in parts]
    print(f"| run | {' | '.join(titles)} |")
    print(f"| --- {'| --- ' * len(titles)}|")
    for name, run in printed.items():
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
