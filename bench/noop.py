"""`noop` (G4, G5): requests and CPU of the controller when there is nothing to do, from the host's audit log and /proc.

Three occasions: (a) a restart with empty caches, (b) a commit that adds a comment to every file, (c) a forced resync; then an
idle stretch. The log holds every request of the controller's account on the host; what goes through port-forwards to nested
API servers is counted there, by that server's own metrics, and stated apart.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import documents, scene
from bench.report import Outcome, Row, Size
from devhost import account
from devhost.audit import WRITES, Audit

OBJECTS: Final = 5
"""ConfigMaps inside each nested cluster: enough that they are listed, not read one by one."""
TICKS: Final = os.sysconf("SC_CLK_TCK")
QUIET: Final = 2.0
"""Seconds without a request (renewals of the Lease and watches apart) that end an occasion."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One occasion: requests on the host by (verb, resource), reads inside, CPU seconds of the controller and its children."""

    requests: Counter[tuple[str, str]]
    inside: Counter[str]
    cpu: float

    @property
    def writes(self) -> int:
        """Writes besides the Lease, Events and the source's own status, which says that a commit was read."""
        apart = ("leases", "events", "sources", "sources/status")
        return sum(n for (verb, what), n in self.requests.items() if verb in WRITES and what not in apart)

    @property
    def lists(self) -> int:
        """The most lists of one kind."""
        return max((n for (verb, _), n in self.requests.items() if verb == "list"), default=0)


def run(size: Size) -> Outcome:
    """The three occasions and the idle stretch, on one scene."""
    with scene.opened(min(size.running, size.clusters), OBJECTS, audited=True) as made:
        made.start()
        made.await_ready()
        _quiet(made)
        made.controller.stop()
        found = {
            "restart": _during(made, lambda: _restart(made)),
            "comments": _during(made, lambda: _comments(made)),
            "resync": _during(made, lambda: _resync(made)),
            "idle": _during(made, lambda: time.sleep(size.idle), settle=False),
        }
    return Outcome("noop", "G4, G5", _rows(found, size), _remarks(found, size))


def _during(made: scene.Scene, work: Callable[[], None], *, settle: bool = True) -> Seen:
    log, inside, cpu = made.audit(), _inside(made), cpu_of(made.controller.process.pid)
    before = made.controller.process.pid
    work()
    if settle:
        _quiet(made)
    after = cpu_of(made.controller.process.pid)
    spent = after - cpu if made.controller.process.pid == before else after
    return Seen(requests_of(log), _inside(made) - inside, spent)


def _restart(made: scene.Scene) -> None:
    made.start(NIDUS_DATA=str(made.stage.folder / "fresh"))
    made.await_ready()


def _comments(made: scene.Scene) -> None:
    for file in made.stage.repository.work.rglob("*.yaml"):
        file.write_text("# a comment\n" + file.read_text())
    commit = made.push("comments")
    made.until("the commit was read", lambda: commit in made.source().get("revision", ""))
    made.await_ready()


def _resync(made: scene.Scene) -> None:
    metadata = {
        "name": "platform",
        "namespace": account.SYSTEM,
        "annotations": {"nidus.dev/resync": str(time.time_ns())},
    }
    made.admin.apply({"apiVersion": documents.API, "kind": "Source", "metadata": metadata}, manager="bench")
    made.until("the resync was taken up", lambda: made.source().get("trigger") == "sync")
    made.await_ready()


def _quiet(made: scene.Scene) -> None:
    log, since = made.audit(), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.2)
        if any(what != "leases" and verb != "watch" for verb, what in requests_of(log)):
            log, since = made.audit(), time.monotonic()


def requests_of(log: Audit) -> Counter[tuple[str, str]]:
    """The controller's requests on the host by (verb, resource)."""
    return Counter((event["verb"], _what(event)) for event in log.events(scene.USER))


def _what(event: dict[str, Any]) -> str:
    about = event.get("objectRef", {})
    path = str(event["requestURI"]).partition("?")[0]
    return "/".join(filter(None, (about.get("resource"), about.get("subresource")))) or path


def _inside(made: scene.Scene) -> Counter[str]:
    """Requests for ConfigMaps of the nested plane so far, by verb; nothing else there touches ConfigMaps of that label's kind much."""
    text = str(made.inside.request("GET", "/metrics", deadline=60).get("text", ""))
    counted: Counter[str] = Counter()
    for labels, value in re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)$", text, re.MULTILINE):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if pairs.get("resource") == "configmaps" and pairs.get("verb") != "WATCH":
            counted[pairs["verb"].lower()] += int(float(value))
    return counted


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, its ended children and its living ones; 0 where it is gone."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        others = [Path(f"/proc/{pid}/task/{task}/children") for task in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
        living = {int(one) for file in others for one in file.read_text().split()} | set(map(int, children))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(parts[at]) for at in (11, 12, 13, 14)) / TICKS + sum(map(cpu_of, living))


def _rows(found: dict[str, Seen], size: Size) -> list[Row]:
    rows = []
    for name in ("restart", "comments", "resync"):
        seen = found[name]
        rows.append(Row(f"{name}: writes", seen.writes, "requests", goal=0))
        rows.append(Row(f"{name}: Events written", seen.requests["create", "events"], "requests", goal=0))
        rows.append(Row(f"{name}: lists of one kind, most", seen.lists, "requests", goal=1))
        rows.append(Row(f"{name}: CPU", seen.cpu, "s", goal=_count(size) / 1000))
        rows.append(Row(f"{name}: requests on the host", sum(seen.requests.values()), "requests"))
        rows.append(Row(f"{name}: lists inside, per cluster", seen.inside["list"] / _count(size), "requests"))
    idle = found["idle"]
    apart = sum(n for (verb, what), n in idle.requests.items() if verb != "watch" and what != "leases")
    rows.append(Row(f"idle {size.idle:.0f} s: requests besides watches and the Lease", apart, "requests", goal=0))
    rows.append(Row(f"idle {size.idle:.0f} s: CPU", idle.cpu, "s"))
    return rows


def _remarks(found: dict[str, Seen], size: Size) -> list[str]:
    told = [f"{_count(size)} nested clusters, about 15 host objects and {OBJECTS + 1} inside each"]
    told.append("CPU is of the whole pass: host side, nested side and workers; the goal is for the host side alone")
    for name, seen in found.items():
        counts = ", ".join(f"{n} {verb} {what}" for (verb, what), n in seen.requests.most_common(12))
        told.append(f"{name}: {counts or 'no request'}; inside: {dict(seen.inside)}")
    return told


def _count(size: Size) -> int:
    """Every document is of a nested cluster that runs: a suspended one would be no work."""
    return min(size.running, size.clusters)
