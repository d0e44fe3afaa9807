"""Print the runs of the screening on real images, with paired differences.

The difference in brackets is to the Supervised run of the same dataset and seed.
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def cell(run: dict[str, Any], baseline: dict[str, Any] | None, part: str) -> str:
    """Return the student's mIoU in points, and its difference to a baseline."""
    miou: float = run["student"][part]["miou"]
    if baseline is None:
        return f"{miou:.1f}"
    return f"{miou:.1f} ({miou - baseline['student'][part]['miou']:+.1f})"


def main() -> None:
    """Print one row for each result file."""
    runs = {path.stem: path for path in sorted(RESULTS.glob("*.json"))}
    read = {name: json.loads(path.read_text()) for name, path in runs.items()}
    print("| run | validation | held out | minutes |")
    print("| --- | --- | --- | --- |")
    for name, run in read.items():
        dataset, *_, seed = name.split("_")
        baseline = read.get(f"{dataset}_sup_{seed}")
        if baseline is run:
            baseline = None
        cells = [cell(run, baseline, part) for part in ("val", "held")]
        print(f"| {name} | {' | '.join(cells)} | {run['minutes']} |")


if __name__ == "__main__":
    main()
