"""Time imports and ``classmix --help`` in fresh interpreters, by processor time.

python benchmarks/imports.py [--rounds 7] [--json FILE]
"""

import resource
import subprocess
import sys

from timing import Report, arguments

ROWS = [
    ("from lightning_classmix import ops", "import torch", "<= 1.1"),
    ("import lightning_classmix", "import lightning", "<= 1.1"),
    ("classmix --help", "import lightning, jsonargparse", "<= 1.3"),
    ("from lightning_classmix import ClassMix", "import lightning", ""),
    ("import lightning_classmix.datasets.views", "import torch", ""),
    ("a spawned worker of a loader", "import torch", ""),
]
NOTES = {
    "import lightning_classmix.datasets.views": "what a dataset needs in a worker",
    "a spawned worker of a loader": "from its start to its first item",
    "from lightning_classmix import ClassMix": "loads networks and metrics too",
}
WORKER = """
import resource, multiprocessing
from lightning_classmix.datamodules.loaders import start_worker
from lightning_classmix.datasets.transforms import Transform
from lightning_classmix.datasets.views import TrainingView

view = TrainingView([], Transform(), labeled=True, seed=0)
context = multiprocessing.get_context("spawn")
worker = context.Process(target=start_worker, args=(0,), kwargs={})
worker._view = view  # is pickled, as the dataset of a loader is
worker.start()
worker.join()
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime)
"""


def seconds_of(code: str) -> float:
    """Return the processor time of a fresh interpreter that runs some code."""
    if code == "a spawned worker of a loader":
        command = [sys.executable, "-c", WORKER]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout)
    command = [sys.executable, "-c", code]
    if code == "classmix --help":
        command = [sys.executable, "-m", "lightning_classmix", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Run all rows."""
    report = Report(arguments(__doc__).parse_args())
    for ours, reference, target in ROWS:
        seconds_of(ours), seconds_of(reference)  # fills the file cache
        pairs = [
            (seconds_of(ours), seconds_of(reference))
            for _ in range(report.options.rounds)
        ]
        first, second = zip(*pairs, strict=True)
        report.add(
            f"`{ours}`",
            f"`{reference}`",
            list(first),
            list(second),
            target=target,
            note=NOTES.get(ours, ""),
        )
    report.write()


if __name__ == "__main__":
    main()
