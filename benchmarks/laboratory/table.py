"""Print the runs of a folder of results, with paired differences.

python benchmarks/laboratory/table.py [FOLDER]

The difference in brackets is to the Supervised run with few labels of the same data set
and seed; both scores are those of the student. ``results`` holds the runs of train.py,
``earlier`` those of an earlier loop that is not in the repository.
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
        dataset, _, _, seed = name.rsplit("_", 3)
        baseline = runs.get(f"{dataset}_supervised_few_{seed}")
        if baseline is run:
            baseline = None
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
