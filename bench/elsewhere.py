"""`elsewhere` (K3): what clusters pay whose content is in the repository, while other clusters of the same source wait for content from
servers that do not give it: a byte every 50 ms, connections that are cut, bodies without end, no answer at all, nobody there.

In each phase the other clusters get content that nobody has fetched yet, again and again. Two phases have sound servers, so that a ratio
says what the faults cost and not what the other clusters' own syncs cost; in the first and the last nothing else is pushed at all.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import queue
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from bench import documents, scene
from bench.noop import cpu_of
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import SECONDS, Seen, pushed, watched
from tests.content.server import Site

HEALTHY: Final = 4
OTHERS: Final = 12
FIRST: Final = 70_000
"""The number of the first of the other clusters."""
PUSHES: Final = 30
"""Of the healthy clusters in each phase, one cluster each."""
EVERY: Final = 3
"""So many of them after each push that gives all other clusters new content."""
SPACING: Final = 0.6
"""Seconds from one push to the next, at least."""
SIZE: Final = 4096
"""Bytes of one file from elsewhere: at a byte every 50 ms longer than a phase."""
ALONE, SOUND, TOGETHER = "nothing else", "sound servers", "all together"
AGAIN: Final = ", again"
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slow": {"drip": True},
    "cut": {"cut": [1] * 1000},
    "endless": {"endless": True},
    "silent": {"hang": True},
}
DEAD: Final = "dead"


@dataclass(slots=True)
class Run:
    """The scene, its healthy clusters and the others, a server for each fault, and the address at which nobody is."""

    made: scene.Scene
    healthy: int
    others: range
    sites: Mapping[str, Site]
    dead: str
    pushes: int
    heard: queue.Queue[Seen] = field(default_factory=queue.Queue)
    stamps: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(slots=True)
class Phase:
    """Seconds from the hook to the value inside, of the healthy clusters; what the servers were asked, how many of the others were not
    Ready at the end, and how many processors the controller took meanwhile."""

    taken: list[float] = field(default_factory=list)
    cores: float = 0.0
    asked: int = 0
    waiting: int = 0


def run(size: Size) -> Outcome:
    """All phases on one scene."""
    healthy = min(size.running, size.clusters, HEALTHY)
    others = range(FIRST, FIRST + min(size.running, OTHERS))
    with contextlib.ExitStack() as held:
        sites = {name: Site() for name in FAULTS}
        for site in sites.values():
            held.callback(site.close)
        dead = f"http://127.0.0.1:{_closed_port()}"
        allow = [{"prefix": f"{url}/", "plainHTTP": True} for url in (*(site.url for site in sites.values()), dead)]
        made = held.enter_context(scene.opened(healthy, 1, spec={"content": {"allow": allow}}))
        one = Run(made, healthy, others, sites, dead, min(PUSHES, size.pushes))
        _give(one, ())
        made.push("others")
        made.running += len(others)
        made.start()
        made.await_ready()
        one.heard = watched(made)
        every = (*FAULTS, DEAD)
        ways: dict[str, Sequence[str] | None] = {ALONE: None, SOUND: (), **{name: (name,) for name in every}}
        ways |= {TOGETHER: every, SOUND + AGAIN: (), ALONE + AGAIN: None}
        phases = {name: _measured(one, name, faults) for name, faults in ways.items()}
        made.controller.stop()
    return Outcome("elsewhere", "K3", _rows(phases), _remarks(one))


def _measured(one: Run, name: str, faults: Sequence[str] | None) -> Phase:
    """Pushes of the healthy clusters, one after another; the others get new content before some of them, or nothing where it is None."""
    phase, before, pid = Phase(), _asked(one), one.made.controller.process.pid
    began, cpu = time.monotonic(), cpu_of(pid)
    for number in range(one.pushes):
        due = time.monotonic() + SPACING
        if faults is not None and number % EVERY == 0:
            _give(one, faults)
            one.made.push(f"{name}: other content")
        phase.taken.append(pushed(one.made, number % one.healthy, str(next(one.stamps)), one.heard))
        if phase.taken[-1] >= SECONDS:
            break
        time.sleep(max(0.0, due - time.monotonic()))
    phase.asked = _asked(one) - before
    phase.cores = (cpu_of(pid) - cpu) / (time.monotonic() - began)
    found = one.made.controller.get("/api/v1/clusters")["clusters"]
    phase.waiting = sum(each["status"] != "Ready" for each in found)
    print(f"  {name}: {', '.join(f'{seconds:.2f}' for seconds in phase.taken)} s", flush=True)
    return phase


def _give(one: Run, faults: Sequence[str]) -> None:
    """Write the profiles of the other clusters, with content that nobody has yet: a file of each of these faults, else of sound servers."""
    stamp = next(one.stamps)
    for number in one.others:
        name = documents.name_of(number)
        packs = [_pack(one, fault, fault in faults, number, stamp) for fault in faults or FAULTS]
        one.made.write(f"profiles/{name}.yaml", documents.profile(1, name, packs))
        one.made.write(documents.path_of(number), documents.cluster(number, "0", name))


def _pack(one: Run, name: str, faulty: bool, number: int, stamp: int) -> dict[str, Any]:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"stamp": str(stamp)}}
    data = yaml.safe_dump(made).encode() + f"# of {number} ".encode().ljust(SIZE, b"-") + b"\n"
    path = f"/{number}-{stamp}.yaml"
    if name == DEAD:
        url = one.dead + path
    else:
        url = one.sites[name].put(path, data, **(copy.deepcopy(FAULTS[name]) if faulty else {}))
    file = {"url": url, "sha256": hashlib.sha256(data).hexdigest()}
    home = f"{documents.name_of(number)}-web"
    return {"name": name, "namespace": home, "dependsOn": ["web"], "manifests": {"urls": [file]}}


def _asked(one: Run) -> int:
    return sum(len(site.asked) for site in one.sites.values())


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _rows(phases: Mapping[str, Phase]) -> list[Row]:
    rows, slowest = [], {}
    for name in (ALONE, SOUND):
        slowest[name] = percentile(phases[name].taken + phases[name + AGAIN].taken, 0.99)
    for name, phase in phases.items():
        p50, p99 = (percentile(phase.taken, share) for share in (0.5, 0.99))
        rows += [Row(f"{name}: push -> applied p50", p50, "s"), Row(f"{name}: push -> applied p99", p99, "s")]
        if not name.startswith((ALONE, SOUND)):
            rows.append(Row(f"{name}: p99 / {SOUND}", p99 / slowest[SOUND], "x", goal=2.0))
            rows.append(Row(f"{name}: p99 / {ALONE}", p99 / slowest[ALONE], "x"))
        rows.append(Row(f"{name}: requests that the servers had", phase.asked, ""))
        rows.append(Row(f"{name}: clusters not Ready at its end", phase.waiting, ""))
        if phase.cores >= 0:  # a worker that was killed meanwhile counts no more
            rows.append(Row(f"{name}: CPU of the controller and its workers", phase.cores, "cores"))
    return rows


def _remarks(one: Run) -> list[str]:
    return [
        f"{one.healthy} nested clusters that take nothing from elsewhere; {len(one.others)} of the same source do, a file of each server",
        f"{one.pushes} pushes a phase, one cluster each, at least {SPACING:g} s apart; before every {EVERY}. the others get new content",
        "ratios are to both phases of a name as one; p99 of so few is their slowest",
        "clock: first line of the post-receive hook to the event in a watch; the servers are threads of the benchmark's process",
    ]
