"""`hanging`: what the healthy clusters pay while 10 and then 20 of 40 nested API servers accept connections and never answer.

The controller reaches everything by a proxy, which is there in every phase. Each phase has pushes that change every cluster, the
hanging ones too, and pushes that change one healthy cluster. The undisturbed phase runs before and after, as one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench import documents, scene
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import Seen, watched
from devhost import account
from tests.faults.proxy import FaultProxy, before_host

CLUSTERS: Final = 40
PARTS: Final = (4, 2)
"""A quarter of the clusters hangs, then half of them."""
TO_ALL: Final = 4
"""Pushes that change every cluster, in each phase; an undisturbed phase has half of them before and half after."""
TO_ONE: Final = 10
SECONDS: Final = 120.0


@dataclass(slots=True)
class Phase:
    """Seconds from the hook to the value inside, of healthy clusters; of the hanging ones, until all are told and until all follow."""

    everyone: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    told: float = 0.0
    healed: float = 0.0


@dataclass(slots=True)
class Run:
    """The scene, its proxy, what was seen, and the number of the last push."""

    made: scene.Scene
    proxy: FaultProxy
    heard: queue.Queue[Seen]
    pushes: int = 0


def run(size: Size) -> Outcome:
    """All phases on one scene."""
    count = min(size.running, size.clusters, CLUSTERS)
    with scene.opened(count, 1) as made, before_host(made.kubeconfig, made.stage.folder / "proxy") as proxy:
        made.kubeconfig = proxy.kubeconfig
        made.start()
        made.await_ready()
        one = Run(made, proxy, watched(made))
        calm = Phase()
        _undisturbed(one, calm)
        disturbed = {count // part: _disturbed(one, count // part) for part in PARTS}
        _undisturbed(one, calm)
        made.controller.stop()
    return Outcome("hanging", "A7", _rows(calm, disturbed), _remarks(count))


def _undisturbed(one: Run, phase: Phase) -> None:
    for _ in range(TO_ALL // 2):
        phase.everyone += _push(one, range(one.made.running), ())
    for number in range(TO_ONE // 2):
        phase.alone += _push(one, [number], ())


def _disturbed(one: Run, count: int) -> Phase:
    """The first `count` clusters hang from before the first push to after the last."""
    phase, hanging = Phase(), range(count)
    names = [documents.name_of(number) for number in hanging]
    with one.proxy.silent(*(f"vcluster-{name}" for name in names)):
        began = time.monotonic()
        telling = threading.Thread(target=_await_told, args=(one.made, names, began, phase), daemon=True)
        telling.start()
        for _ in range(TO_ALL):
            phase.everyone += _push(one, range(one.made.running), hanging)
        for number in range(TO_ONE):
            phase.alone += _push(one, [count + number % (one.made.running - count)], hanging)
        telling.join(SECONDS)
    began = time.monotonic()
    one.made.await_ready()
    phase.healed = time.monotonic() - began
    while not one.heard.empty():  # what the healed clusters caught up with
        one.heard.get()
    return phase


def _push(one: Run, changed: Collection[int], hanging: Collection[int]) -> list[float]:
    """Seconds from the hook until each changed cluster that does not hang has the value."""
    one.pushes += 1
    stamp = str(one.pushes)
    for number in changed:
        one.made.write(documents.path_of(number), documents.cluster(number, stamp))
    one.made.push(f"stamp {stamp}")
    wanted = {documents.name_of(number) for number in changed if number not in hanging}
    at: dict[str, float] = {}
    while at.keys() != wanted:
        try:
            seen = one.heard.get(timeout=SECONDS)
        except queue.Empty:
            missing = ", ".join(sorted(wanted - at.keys()))
            raise SystemExit(f"stamp {stamp} did not reach {missing}\n{one.made.controller.tail()}") from None
        if seen.stamp == stamp and seen.cluster in wanted:
            at.setdefault(seen.cluster, seen.at)
    hook = one.made.pushed_at()
    return [moment - hook for moment in at.values()]


def _await_told(made: scene.Scene, names: Sequence[str], began: float, phase: Phase) -> None:
    """Until every hanging cluster's status says that it does not answer."""
    while time.monotonic() - began < SECONDS:
        items = made.admin.list(documents.API, "NestedCluster", account.SYSTEM)["items"]
        found = {item["metadata"]["name"]: _ready(item) for item in items}
        if all(found.get(name) == ("Unknown", "Unreachable") for name in names):
            phase.told = time.monotonic() - began
            return
        time.sleep(0.25)
    phase.told = SECONDS


def _ready(item: dict[str, Any]) -> tuple[str, str]:
    found = [one for one in item.get("status", {}).get("conditions", []) if one["type"] == "Ready"]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


def _rows(calm: Phase, disturbed: dict[int, Phase]) -> list[Row]:
    rows = []
    for what, undisturbed in (("all changed", calm.everyone), ("one changed", calm.alone)):
        base = {share: percentile(undisturbed, share) for share in (0.5, 0.99)}
        rows += [Row(f"{what}, undisturbed, p{share * 100:.0f}", value, "s") for share, value in base.items()]
        for count, phase in disturbed.items():
            taken = phase.everyone if what == "all changed" else phase.alone
            found = {share: percentile(taken, share) for share in base}
            rows += [Row(f"{what}, {count} hang, p{share * 100:.0f}", value, "s") for share, value in found.items()]
            rows.append(Row(f"{what}, {count} hang, p99 / undisturbed", found[0.99] / base[0.99], "x", goal=2.0))
    for count, phase in disturbed.items():
        rows.append(Row(f"{count} hang: all Unknown, Unreachable after", phase.told, "s", goal=30.0))
        rows.append(Row(f"{count} answer again: all Ready after", phase.healed, "s"))
    return rows


def _remarks(count: int) -> list[str]:
    return [
        f"{count} nested clusters behind one shared API server and a proxy; only healthy clusters count for the times",
        f"each phase: {TO_ALL} pushes that change all, then {TO_ONE} that change one healthy cluster, each when the last has arrived",
        "clock: first line of the post-receive hook to the event in a watch; hanging: port-forwards are accepted, no byte comes",
    ]
