"""Print the comparison on real images from its runs.

python benchmarks/real_images/table.py [OUT]

OUT holds the folders of ``classmix compare``, one for each data set, whose scores are
written to runs.csv here. Without OUT, the table is printed from runs.csv.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lightning_classmix.experiments.compare_results import summarize

RUNS = Path(__file__).parent / "runs.csv"
Key = tuple[str, str, str, str]
"""Data set, method, ``few`` or ``all`` labels, and ``student`` or ``teacher``."""


def read_runs(out: Path) -> Iterator[dict[str, object]]:
    """Return the scores of all networks in folders of ``classmix compare``."""
    for path in sorted(out.glob("*/runs/*/*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        settings = json.loads(path.with_name("settings.json").read_text("utf-8"))
        labels, seed = path.parent.name.split("-labels-seed-")
        for network, scores in result["networks"].items():
            yield {
                "set": path.parents[3].name,
                "method": path.parents[1].name,
                "labels": labels,
                "seed": seed,
                "lr": settings["lr"],
                "steps": settings["steps"],
                "network": network,
                "miou": f"{100 * scores['miou']:.2f}",
            }


def grouped(rows: list[dict[str, str]]) -> dict[Key, dict[int, float]]:
    """Return the score by seed, for each set, method, number of labels and network."""
    fewest: dict[str, int] = {}
    for row in rows:
        count = int(row["labels"])
        fewest[row["set"]] = min(count, fewest.get(row["set"], count))
    scores: dict[Key, dict[int, float]] = {}
    for row in rows:
        kind = "few" if int(row["labels"]) == fewest[row["set"]] else "all"
        key = row["set"], row["method"], kind, row["network"]
        scores.setdefault(key, {})[int(row["seed"])] = float(row["miou"])
    return scores


def with_error(value: float, error: float | None, sign: str = "") -> str:
    """Return a value in text, with its error if there is more than one seed."""
    return f"{value:{sign}.1f}" + ("" if error is None else f" ± {error:.1f}")


def main() -> None:
    """Print mean and standard deviation, and paired differences to Supervised."""
    if len(sys.argv) > 1:
        runs = list(read_runs(Path(sys.argv[1])))
        with RUNS.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, runs[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(runs)
    with RUNS.open(encoding="utf-8") as file:
        scores = grouped(list(csv.DictReader(file)))
    titles = "set", "method", "labels", "network", "mIoU", "difference", "each seed"
    print(f"| {' | '.join(titles)} |")
    print(f"|{' --- |' * len(titles)}")
    for key, by_seed in sorted(scores.items()):
        baseline = scores[key[0], "supervised", "few", "student"]
        summary = summarize(by_seed, None if by_seed is baseline else baseline)
        cells = [with_error(summary.mean, summary.std), "-", "-"]
        if summary.difference is not None:
            cells[1] = with_error(summary.difference, summary.standard_error, "+")
            pairs = [by_seed[seed] - baseline[seed] for seed in by_seed]
            cells[2] = ", ".join(f"{pair:+.1f}" for pair in pairs)
        print(f"| {' | '.join([*key, *cells])} |")


if __name__ == "__main__":
    main()
