"""Time functions side by side, and report their ratios; shared by the benchmarks."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

Functions = Mapping[str, Callable[[], object]]


def arguments(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Return the parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of each row")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.set_defaults(**defaults)
    return parser


class Clock:
    """Seconds that one function takes.

    On one CPU thread it is the processor time of this process, which other jobs of the
    machine change least; otherwise it is wall time, behind a synchronization on CUDA.
    """

    def __init__(self, device: str, threads: int) -> None:
        self.cuda = device.startswith("cuda")
        self.read = time.process_time if not self.cuda and threads == 1 else None

    def now(self) -> float:
        """Return the time in seconds, since any fixed moment."""
        if self.cuda:
            torch.cuda.synchronize()
        return self.read() if self.read else time.perf_counter()

    def interleave(
        self, functions: Functions, rounds: int, *, warm_up: bool = True
    ) -> dict[str, list[float]]:
        """Call all functions in turn, ``rounds`` times, after a turn without timing."""
        for function in functions.values() if warm_up else ():
            function()
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(rounds):
            for name, function in functions.items():
                start = self.now()
                function()
                seconds[name].append(self.now() - start)
        return seconds


def memory_of_process(name: str) -> float:
    """Return a figure of this process's memory in MB; Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 2**10


@dataclass
class Row:
    """One line of a table: what was measured, against what, and their ratio."""

    claim: str
    against: str
    ratio: float
    """Median over the rounds of the quotient of the two times."""
    milliseconds: float
    reference_milliseconds: float
    target: str = ""
    note: str = ""


@dataclass
class Report:
    """The rows of one benchmark; prints each as it is added, in Markdown."""

    options: argparse.Namespace
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.set_num_threads(self.options.threads)
        print(self.machine())
        print("\n| measured | against | ratio | to reach | ms | against, ms | note |")
        print("| --- | --- | --- | --- | --- | --- | --- |")

    def machine(self) -> str:
        """Return the machine, its load, the versions and the date in one line."""
        options = self.options
        name = platform.processor() or platform.machine()
        cpus = Path("/proc/cpuinfo")
        if cpus.exists():
            lines = [line for line in cpus.read_text().splitlines() if ":" in line]
            pairs = [tuple(map(str.strip, line.split(":", 1))) for line in lines]
            name = dict(pairs).get("model name", name)
        if options.device.startswith("cuda"):
            name = torch.cuda.get_device_name()
        return (
            f"{name}, {os.cpu_count()} cores, {options.threads} thread(s), load"
            f" {os.getloadavg()[0]:.1f}, torch {torch.__version__}, Python"
            f" {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
        )

    def add(
        self,
        claim: str,
        against: str,
        ours: list[float],
        reference: list[float],
        *,
        target: str = "",
        note: str = "",
    ) -> None:
        """Add a row from the seconds of both, measured in turn."""
        quotients = [a / b for a, b in zip(ours, reference, strict=True)]
        row = Row(
            claim,
            against,
            median(quotients),
            median(ours) * 1e3,
            median(reference) * 1e3,
            target,
            note,
        )
        self.rows.append(row)
        print(
            f"| {claim} | {against} | {row.ratio:.2f} | {target} |"
            f" {row.milliseconds:.1f} | {row.reference_milliseconds:.1f} | {note} |",
            flush=True,
        )

    def write(self) -> None:
        """Write the rows to the file ``--json``, if it was given."""
        if self.options.json:
            content = {
                "machine": self.machine(),
                "options": {k: str(v) for k, v in vars(self.options).items()},
                "rows": [asdict(row) for row in self.rows],
            }
            self.options.json.parent.mkdir(parents=True, exist_ok=True)
            self.options.json.write_text(json.dumps(content, indent=2) + "\n")
