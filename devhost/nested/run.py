"""Starts nested control planes by the host's `nested` setting: one for each cluster, one shared, or none."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from devhost import layout, stages
from devhost.api import Access, Client, Object
from devhost.nested import filling, real
from devhost.nested.contract import Engine
from devhost.nested.engines import Engines
from devhost.nested.own import Own
from devhost.nested.real import Real
from devhost.nested.real_restores import Official
from devhost.nested.restores import Restores, Run, StandIn
from devhost.nested.shared import Shared
from devhost.nested.snapshots import Snapshots
from devhost.node import place
from devhost.ports import free_port
from devhost.programs import Programs
from devhost.state import Host, replace

THREADS = 12
"""As many engines start or stop at once; more would only share the same processors."""


def start(host: Host, programs: Programs, admin: Client, stop: threading.Event) -> None:
    """Follow the engine's pods from now on."""
    as_engine = clients(host)
    known = [functools.partial(place.locate, host.folder)] if host.wish.node else []
    engines = Engines(admin, as_engine, stop, THREADS, *known)
    vcluster = real.binary()
    if host.wish.nested == "own" and vcluster is not None:
        engines.start(Real(host, programs, engines, admin, vcluster))
        _restores(host, admin, Official(host, admin, vcluster), stop)
        return
    shared = host.wish.nested == "shared"
    backing: Shared | Own = (
        Shared(host, programs, engines, as_engine, shared_port(host))
        if shared
        else Own(host, programs, engines, admin, as_engine)
    )
    engines.start(backing)
    keys = backing.keys if isinstance(backing, Own) else None
    Snapshots(admin, as_engine, backing.inside, host.folder / "nested" / "snapshots", stop, keys).start()
    if keys is not None:  # a shared plane has one store for all
        fill = partial(filling.fill, host, programs)
        _restores(host, admin, StandIn(admin, fill, _faults(host)), stop)


def _restores(host: Host, admin: Client, run: Run, stop: threading.Event) -> None:
    Restores(admin, layout.claims(host.folder), run, _faults(host), stop).start()


def _faults(host: Host) -> Path:
    return host.folder / "nested" / "restores"


def client(host: Host) -> Client:
    """A client of the host for its actors."""
    return Client(_access(host))


def clients(host: Host) -> Callable[[Engine], Client]:
    """Clients that act as an engine's service account, made once each."""
    made: dict[Engine, Client] = {}

    def of(engine: Engine) -> Client:
        if engine not in made:
            made[engine] = Client(_access(host, f"system:serviceaccount:{engine.namespace}:vc-{engine.name}"))
        return made[engine]

    return of


def shared_port(host: Host) -> int:
    """The port of the shared plane, chosen once in a host's life."""
    path = host.folder / "nested" / "shared.port"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace(path, str(free_port()).encode())
    return int(path.read_text())


def ready_by_itself() -> Object:
    """A stage that makes the engine's pods ready although nothing runs behind them (mode `none`)."""
    stage = copy.deepcopy(next(one for one in stages.documents() if one["metadata"]["name"] == "pod-ready"))
    stage["metadata"]["name"] = "engine-ready"
    rules = stage["spec"]["selector"]["matchExpressions"]
    readiness = next(rule for rule in rules if stages.READINESS in rule["key"])
    readiness["operator"] = "In"
    rules.append({"key": '.metadata.labels["app"]', "operator": "In", "values": ["vcluster"]})
    return stage


def _access(host: Host, act_as: str = "") -> Access:
    pki = host.pki
    agent = "vcluster" if act_as else "devhost"
    return Access(host.server, pki / "ca.crt", pki / "actors.crt", pki / "actors.key", act_as=act_as, agent=agent)
