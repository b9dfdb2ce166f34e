"""The result of a benchmark, its table on stdout and its JSON in bench/results/."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "bench" / "results"


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does. Of `clusters` documents in the repository, `running` have a nested cluster in `push`, `rollout` and `noop`.

    `objects` are ConfigMaps inside each nested cluster in `throughput`; `idle` is in seconds.
    """

    clusters: int = 1000
    running: int = 300
    pushes: int = 100
    objects: int = 100
    specs: int = 10_000
    rounds: int = 15
    idle: float = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure in its unit, and the goal it is held against where there is one."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty without one."""
        if self.goal is None:
            return ""
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        return f"{'>=' if self.at_least else '<='} {self.goal:g}: {'met' if met else 'MISSED'}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one benchmark and the remarks without which they mislead."""

    name: str
    goal: str
    rows: Sequence[Row]
    remarks: Sequence[str] = field(default_factory=tuple)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-int(share * len(ordered) * 1000) // 1000))
    return ordered[min(rank, len(ordered)) - 1]


def show(outcome: Outcome) -> None:
    """Print the table."""
    print(f"\n{outcome.name} ({outcome.goal})")
    width = max(len(row.what) for row in outcome.rows)
    for row in outcome.rows:
        print(f"  {row.what:<{width}}  {_number(row.value):>10} {row.unit:<10} {row.verdict}".rstrip())
    for remark in outcome.remarks:
        print(f"  - {remark}")


def keep(outcome: Outcome, size: Size) -> Path:
    """Write the figures with the machine, the load and the commit they were taken at; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{outcome.name}.json"
    rows = [{**asdict(row), "verdict": row.verdict} for row in outcome.rows]
    facts = {"benchmark": outcome.name, "goal": outcome.goal, "size": asdict(size), "machine": machine()}
    file.write_text(json.dumps({**facts, "rows": rows, "remarks": list(outcome.remarks)}, indent=1) + "\n")
    return file


def machine() -> dict[str, object]:
    """What the figures depend on: processors, the load beside us, Python, commit and time."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10)
    return {
        "processors": len(os.sched_getaffinity(0)),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def environment(folder: Path) -> dict[str, str]:
    """Ours, with the bytecode of this tree kept in `folder` from the first round on, which is not counted: installed packages have
    theirs, and an environment that forbids it (PYTHONDONTWRITEBYTECODE) would have every start compile the source."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
