"""`push` (G1): one cluster changed per push, from the start of the post-receive hook to the new value in a watch inside.

It includes every step: hook, signed webhook, fetch, read, validate, admit, plan, port-forward, server-side apply.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bench import documents, scene
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import Seen, watched

STAGES: Final = ("seen", "fetched", "validated", "admitted")
SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Push:
    """One push: seconds from the start of its hook to each stage and to the value in the watch."""

    total: float
    stages: dict[str, float]


def run(size: Size) -> Outcome:
    """All clusters stand before the first push; pushes come one after another, each when the last is wholly over."""
    with scene.opened(size.clusters, 1, running=size.running) as made:
        began = time.monotonic()
        made.start()
        made.await_ready()
        stood = time.monotonic() - began
        found = _pushes(made, size.pushes)
    return Outcome("push", "G1", _rows(found, size, stood), _remarks(size))


def _pushes(made: scene.Scene, count: int) -> list[Push]:
    heard = watched(made)
    chosen = random.Random(7)
    return [_one(made, chosen.randrange(made.running), str(number + 1), heard) for number in range(count)]


def _one(made: scene.Scene, number: int, stamp: str, heard: queue.Queue[Seen]) -> Push:
    made.write(documents.path_of(number), documents.cluster(number, stamp))
    commit = made.push(f"{documents.name_of(number)}: {stamp}")
    try:
        seen = heard.get(timeout=SECONDS)
    except queue.Empty:
        raise SystemExit(f"push {stamp} did not arrive within {SECONDS:.0f} s\n{made.controller.tail()}") from None
    if (seen.cluster, seen.stamp) != (documents.name_of(number), stamp):
        raise SystemExit(f"push {stamp} of {documents.name_of(number)}: saw {seen}")
    status = made.until(f"{commit} is complete", lambda: _complete(made.source(), commit))
    if status["trigger"] != "webhook":
        raise SystemExit(
            f"push {stamp} was found by {status['trigger']}, not by the webhook: this run measures nothing"
        )
    hook = made.pushed_at()
    at = {name: datetime.fromisoformat(status["stages"][name]).timestamp() - hook for name in STAGES}
    return Push(seen.at - hook, at)


def _complete(status: dict[str, object], commit: str) -> dict[str, object]:
    """The status once the commit's last cluster is Ready, else an empty one."""
    stages = status.get("stages")
    done = commit in str(status.get("revision")) and isinstance(stages, dict) and "ready" in stages
    return status if done else {}


def _rows(found: Sequence[Push], size: Size, stood: float) -> list[Row]:
    totals = [one.total for one in found]
    rows = [
        Row("push -> applied p50", percentile(totals, 0.5), "s", goal=0.3),
        Row("push -> applied p99", percentile(totals, 0.99), "s", goal=1.0),
        Row("push -> applied max", max(totals), "s"),
    ]
    before = dict.fromkeys(range(len(found)), 0.0)
    for name in (*STAGES, "applied"):
        now = {n: one.stages.get(name, one.total) for n, one in enumerate(found)}
        spent = [now[n] - before[n] for n in now]
        rows.append(Row(f"  until {name}, p50", percentile(spent, 0.5), "s"))
        before = now
    return [*rows, Row(f"{min(size.running, size.clusters)} nested clusters stood up in", stood, "s")]


def _remarks(size: Size) -> list[str]:
    return [
        f"{size.clusters} nested clusters in the repository, {min(size.running, size.clusters)} of them running behind one shared"
        f" API server, the others suspended; {size.pushes} pushes, one cluster each",
        "clock: first line of the post-receive hook to the event in a watch on that API server; every trigger was `webhook`",
    ]
