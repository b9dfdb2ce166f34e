"""`hostile` (G12): what a healthy source pays beside a hostile one, from its push to its value inside.

The hostile source has clusters whose charts loop, and clusters whose API servers answer one byte every four seconds; beside them
deliveries come to the webhook, forged for the healthy source and signed for the hostile one. Each attack runs alone, then all at
once. The controller reaches the host by a proxy in every phase. Before the last attack it starts anew, so that it knows nothing.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench import documents, looping, scene
from bench.deliveries import Flood, flooding
from bench.noop import cpu_of
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import SECONDS, Seen, pushed, watched
from devhost import stage as staging
from devhost.certs import Pair
from devhost.nested.run import shared_port
from devhost.nested.shared import TITLE
from tests.faults.proxy import FaultProxy, before_host, before_nested, trickles

HEALTHY: Final = 4
LOOPING: Final = 12
SLOW: Final = 8
PUSHES: Final = 100
"""Of the healthy source in each phase, one cluster each."""
SPACING: Final = 0.6
"""Seconds from one push to the next, at least: a phase is longer than one render may take."""
AGAIN: Final = 3.0
"""Seconds between two pushes of the hostile source, each with charts that nobody has rendered yet."""
PAUSE: Final = 4.0
"""Seconds between two bytes of a slow API server."""
FORGED, SIGNED = 100, 20
"""Deliveries a second."""
NAME: Final = "hostile"
CALM, TOGETHER, AFTER = "undisturbed", "all together", "after"


@dataclass(slots=True)
class Phase:
    """Seconds from the hook to the value inside, of the healthy source; what else was counted meanwhile; what the attacker was told, and
    what shows the attack."""

    taken: list[float] = field(default_factory=list)
    cpu: float = 0.0
    seconds: float = 0.0
    answered: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    shown: str = ""


@dataclass(slots=True)
class Run:
    """The scene and its number of healthy clusters, the other source's stage, the proxy, which clusters loop and which are slow."""

    made: scene.Scene
    healthy: int
    other: staging.Stage
    proxy: FaultProxy | None
    looping: range
    slow: range
    pushes: int
    heard: queue.Queue[Seen] = field(default_factory=queue.Queue)
    stamps: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    turn: threading.Lock = field(default_factory=threading.Lock)


Attack = Callable[[Run, Phase], AbstractContextManager[None]]


def run(size: Size) -> Outcome:
    """All phases on one scene."""
    healthy = min(size.running, size.clusters, HEALTHY)
    with scene.opened(healthy, 1) as made, before_host(made.kubeconfig, made.stage.folder / "proxy") as proxy:
        loops = range(looping.FIRST_LOOPING, looping.FIRST_LOOPING + min(LOOPING, size.running))
        slow = range(looping.FIRST_SLOW, looping.FIRST_SLOW + min(SLOW, size.running))
        other = staging.join(
            made.stage, NAME, looping.fill(made.stage.folder / "hostile-content", loops, slow), {"interval": "10m"}
        )
        made.kubeconfig = proxy.kubeconfig
        made.running += len(loops) + len(slow)
        made.start()
        made.await_ready()
        one = Run(made, healthy, other, proxy, loops, slow, min(PUSHES, size.pushes))
        one.heard = watched(made)
        phases = _phases(one)
        made.controller.stop()
    return Outcome("hostile", "G12", _rows(phases), _remarks(one))


def _phases(one: Run) -> dict[str, Phase]:
    attacks: Mapping[str, tuple[Attack, ...]] = {
        CALM: (),
        "deliveries": (_deliveries,),
        "slow servers": (_slow_servers,),
        "looping charts": (_looping_charts,),
        TOGETHER: (_deliveries, _slow_servers, _looping_charts),
        AFTER: (),
    }
    phases = {}
    for name, ways in attacks.items():
        if name == TOGETHER:
            _anew(one)
        phases[name] = measured(one, ways)
        print(f"  {name}: {', '.join(f'{seconds:.2f}' for seconds in phases[name].taken)} s", flush=True)
    return phases


def _anew(one: Run) -> None:
    one.made.controller.stop()
    one.made.start()
    one.made.await_ready()


def measured(one: Run, attacks: tuple[Attack, ...]) -> Phase:
    """Pushes of the healthy source, one after another, from the moment on in which the attacks have begun."""
    phase = Phase()
    with ExitStack() as under_way:
        for attack in attacks:
            under_way.enter_context(attack(one, phase))
        pid = one.made.controller.process.pid
        began, cpu = time.monotonic(), cpu_of(pid)
        for number in range(one.pushes):
            due = began + number * SPACING
            time.sleep(max(0.0, due - time.monotonic()))
            phase.taken.append(pushed(one.made, number % one.healthy, str(next(one.stamps)), one.heard))
            if phase.taken[-1] >= SECONDS:
                break
        phase.cpu, phase.seconds = cpu_of(pid) - cpu, time.monotonic() - began
        phase.reasons = _reasons(one)
    return phase


def _reasons(one: Run) -> Counter[str]:
    """Why the clusters of the hostile source are not Ready."""
    found = one.made.controller.get("/api/v1/clusters")["clusters"]
    return Counter(
        each["conditions"]["Ready"]["reason"] for each in found if each["source"] == NAME and each["status"] != "Ready"
    )


# Attacks


@contextmanager
def _deliveries(one: Run, phase: Phase) -> Iterator[None]:
    secret = str(one.other.folder / staging.SECRET)
    flood = Flood(one.other.webhook, FORGED, f"/webhook/{staging.FIRST}", SIGNED, f"/webhook/{NAME}", secret)
    with flooding(flood) as phase.answered:
        yield


@contextmanager
def _slow_servers(one: Run, phase: Phase) -> Iterator[None]:
    """Every answer comes byte by byte; open connections end, so that the controller looks again. Pushes change them."""
    pki = one.made.host.folder / TITLE / "pki"
    ca = Pair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes())
    plane = "127.0.0.1", shared_port(one.made.host)
    with ExitStack() as held:
        for name in map(documents.name_of, one.slow):
            namespace = f"vcluster-{name}"
            secret = one.made.admin.get("v1", "Secret", f"vc-{name}", namespace) or {}
            proxy = held.enter_context(
                before_nested(secret, ca, plane, one.made.stage.folder / "proxies" / str(next(one.stamps)))
            )
            held.enter_context(proxy.fault(lambda request: True, trickles(PAUSE)))
            assert one.proxy is not None
            held.enter_context(one.proxy.led(namespace, proxy))
        held.enter_context(_pushing(one, one.slow, 0))
        yield


@contextmanager
def _looping_charts(one: Run, phase: Phase) -> Iterator[None]:
    with _pushing(one, one.looping, looping.ROUNDS):
        yield
    _write(one, one.looping, 0)


@contextmanager
def _pushing(one: Run, clusters: range, rounds: int) -> Iterator[None]:
    """Change these clusters of the hostile source now, and every few seconds until the block ends."""
    _write(one, clusters, rounds)
    with repeated(lambda: _write(one, clusters, rounds), AGAIN, AGAIN):
        yield


@contextmanager
def repeated(act: Callable[[], None], every: float, first: float = 0.0) -> Iterator[None]:
    """Do it in a thread, `first` seconds from now and then after so many seconds each time, until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        wait = first
        while not over.wait(wait):
            act()
            wait = every

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _write(one: Run, clusters: range, rounds: int) -> None:
    with one.turn:
        stamp = str(next(one.stamps))
        for number in clusters:
            (one.other.repository.work / documents.path_of(number)).write_text(looping.cluster(number, stamp, rounds))
        one.other.repository.commit(f"stamp {stamp}")
        one.other.repository.push()


# The figures


def _rows(phases: Mapping[str, Phase]) -> list[Row]:
    calm, rows = percentile(phases[CALM].taken, 0.99), []
    for name, phase in phases.items():
        lost = sum(seconds >= SECONDS for seconds in phase.taken)
        p50, p99 = (percentile(phase.taken, share) for share in (0.5, 0.99))
        rows += [Row(f"{name}: push -> applied p50", p50, "s"), Row(f"{name}: push -> applied p99", p99, "s")]
        if name not in (CALM, AFTER):
            rows.append(Row(f"{name}: p99 / undisturbed", p99 / calm, "x", goal=2.0))
        rows += [Row(f"{name}: pushes lost", lost, "")] * bool(lost)
        rows.append(Row(f"{name}: CPU of the controller and its workers", phase.cpu / phase.seconds, "cores"))
        rows += [Row(f"{name}: deliveries {kind}", count, "") for kind, count in sorted(phase.answered.items())]
        rows += [Row(f"{name}: hostile clusters {kind}", count, "") for kind, count in sorted(phase.reasons.items())]
    return rows


def _remarks(one: Run) -> list[str]:
    return [
        f"{one.healthy} healthy nested clusters of one source; of another {len(one.looping)} with {looping.PACKS} looping charts each and"
        f" {len(one.slow)} whose API servers answer a byte every {PAUSE:g} s; {FORGED} forged and {SIGNED} signed deliveries a second",
        f"{one.pushes} pushes of the healthy source a phase, one cluster each, at least {SPACING:g} s apart; the hostile source"
        f" pushes every {AGAIN:g} s",
        "clock: first line of the post-receive hook to the event in a watch; one API server behind all nested clusters, a proxy"
        " before the host's in every phase; afterwards renders of the attack may still run, so it is no part of what is compared with",
    ]
