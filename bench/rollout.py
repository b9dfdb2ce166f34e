"""`rollout` (G9 and the order of the queue): many new clusters at once, and what the controller keeps of them when nothing moves.

From the start of a controller that knows nothing to the first cluster Ready, half of them and all; the CPU and the requests that
took; then threads, open files and memory after an idle stretch, in which none of them may grow with the clusters.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import noop, scene
from bench.report import Outcome, Row, Size
from devhost.audit import WRITES

PAUSE: Final = 0.3
"""Seconds between two looks at the controller's own list of clusters."""


@dataclass(frozen=True, slots=True)
class Stood:
    """Seconds until each share of the clusters was Ready, CPU seconds and requests on the host by then, the most threads seen."""

    first: float
    half: float
    all: float
    cpu: float
    requests: Counter[tuple[str, str]]
    threads: int


def run(size: Size) -> Outcome:
    """One scene, one controller."""
    clusters = min(size.running, size.clusters)
    with scene.opened(clusters, noop.OBJECTS, audited=True) as made:
        stood = _stood(made, clusters)
        made.await_ready()
        time.sleep(size.idle)
        threads, files, memory = _kept(made.controller.process.pid)
    writes = sum(n for (verb, _), n in stood.requests.items() if verb in WRITES)
    rows = [
        Row("first Ready", stood.first, "s"),
        Row("half Ready", stood.half, "s"),
        Row("all Ready", stood.all, "s"),
        Row("first / all", stood.first / stood.all, "x"),
        Row("CPU per cluster", stood.cpu / clusters, "s"),
        Row("requests on the host per cluster", sum(stood.requests.values()) / clusters, "requests"),
        Row("writes on the host per cluster", writes / clusters, "requests"),
        Row("most threads", stood.threads, "threads"),
        Row(f"after {size.idle:.0f} s idle: threads", threads, "threads"),
        Row(f"after {size.idle:.0f} s idle: open files", files, "files"),
        Row(f"after {size.idle:.0f} s idle: resident memory", memory, "MiB"),
    ]
    told = f"{clusters} nested clusters, about 15 host objects and {noop.OBJECTS + 1} inside each; the host stands up their engines"
    return Outcome("rollout", "G9", rows, [told])


def _stood(made: scene.Scene, clusters: int) -> Stood:
    log, began = made.audit(), time.monotonic()
    pid = made.start().process.pid
    at: dict[int, float] = {}
    threads = 0

    def over() -> bool:
        nonlocal threads
        ready, passed = _ready(made), time.monotonic() - began
        at.update({share: passed for share in (1, (clusters + 1) // 2, clusters) if ready >= share and share not in at})
        threads = max(threads, _kept(pid)[0])
        return clusters in at

    made.until(f"{clusters} clusters Ready", over, scene.STAND_UP, pause=PAUSE)
    first, half, last = (at[share] for share in (1, (clusters + 1) // 2, clusters))
    return Stood(first, half, last, noop.cpu_of(pid), noop.requests_of(log), threads)


def _ready(made: scene.Scene) -> int:
    try:
        found = made.controller.get("/api/v1/clusters")
    except OSError:
        return 0
    return sum(one["status"] == "Ready" for one in found["clusters"])


def _kept(pid: int) -> tuple[int, int, float]:
    """Threads, open files and MiB of a process; zeros where it is gone."""
    try:
        lines = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0, 0.0
    return int(lines["Threads"]), files, int(lines["VmRSS"].split()[0]) / 1024
