"""Runs what stands for the engine's pods: a plane of its own behind each (`own`), or one shared by all (`shared`).

A worker looks at one engine at a time. It is woken by its pods and, as a kubelet's probe would, every two seconds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from devhost.api import Client, Object
from devhost.errors import HostError
from devhost.following import LOG, Workers
from devhost.nested import contract, kubelet
from devhost.nested.contract import Engine, config_of, engine_of, majority_of, member_of
from devhost.nested.outer import Outer
from devhost.nested.plane import Plane
from devhost.nested.translate import Tenancy

PROBE_SECONDS: Final = 2.0


class Backing(Protocol):
    """What runs behind engines; each call is made by one thread at a time for the same engine."""

    def start(self, tenancy: Tenancy, pods: list[Object]) -> None:
        """Let the engine run; return once it is ready."""

    def stop(self, engine: Engine, pods: list[str]) -> None:
        """Let it run no more; `pods` are the names of those it had. Its data stays."""

    def alive(self, engine: Engine) -> bool:
        """Tell whether its processes run."""

    def ready(self, tenancy: Tenancy) -> bool:
        """Tell whether it answers that it is ready, and see to what changed around it."""

    def reach(self, engine: Engine, pod: Object) -> None:
        """Open the way to the port of one of its pods."""

    def port(self, engine: Engine) -> int:
        """The port on the machine's loopback that its pods' port stands for, while it runs."""

    probed: bool
    """Whether ready() has something to find out; if not, engines are looked at only when their pods change."""


@dataclass(slots=True)
class _Run:
    """An engine that runs: its values, its pods by uid, failed probes in a row and restarts."""

    config: Object
    pods: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    restarts: int = 0


class Engines:
    """Keeps what runs in step with the engine's pods on the host; `locate` hears of each pod's address what port it stands for."""

    def __init__(
        self,
        admin: Client,
        host_of: Callable[[Engine], Client],
        stop: threading.Event,
        threads: int,
        locate: Callable[[str, int], None] = lambda address, port: None,
    ) -> None:
        self._admin, self._host_of, self._locate = admin, host_of, locate
        self._runs: dict[Engine, _Run] = {}
        self._addresses = itertools.count(1)
        self._backing: Backing | None = None
        self._workers: Workers[Engine] = Workers("engine", self._reconcile, stop, threads)
        self.outer = Outer(admin, stop, self._pod_seen)

    def start(self, backing: Backing) -> None:
        """Start following the host and running engines."""
        self._backing = backing
        self.outer.start()
        self._workers.start()

    def tenancy(self, engine: Engine) -> Tenancy | None:
        """Return the engine's values and its Service as they are now; None when it does not run."""
        run, service = self._runs.get(engine), self.outer.get("Service", engine.namespace, engine.name)
        return Tenancy(engine, run.config, service) if run and service else None

    def data_uid(self, tenancy: Tenancy, pods: list[Object]) -> str:
        """Return what the engine's data is bound to: its claim's uid, its pod's when it wants no claim.

        Raises HostError while the claim is not there.
        """
        name = contract.claim_of(tenancy.engine, tenancy.config)
        if name is None:
            return str(pods[0]["metadata"]["uid"])
        uid = self.outer.claim_uid(tenancy.engine.namespace, name)
        if not uid:
            raise HostError(f"claim {name} is not there yet")
        return uid

    def _pod_seen(self, pod: Object) -> None:
        engine = engine_of(pod) or member_of(pod)
        if engine is not None:
            self._workers.add(engine)

    def _reconcile(self, engine: Engine) -> float | None:
        backing = self._backing
        assert backing is not None
        pods = self._pods(engine)
        run = self._runs.get(engine)
        restarts = 0
        if run is not None and run.pods.keys().isdisjoint(pods):
            self._stop(backing, engine, run)
            run = None
        elif run is not None and not backing.alive(engine):
            LOG.info("%s ended by itself and is started again", engine)
            restarts = run.restarts + 1
            self._report(engine, pods, ready=False, restarts=restarts)
            self._stop(backing, engine, run)
            run = None
        if not pods:
            return None
        lost = self._lost(engine, run)
        if lost:
            self._report(engine, pods, ready=False, restarts=restarts)
            if run is not None:
                LOG.info("%s ends: %s", engine, lost)
                self._stop(backing, engine, run)
            return PROBE_SECONDS
        if run is None:
            run = self._start(backing, engine, pods, restarts)
        return self._look(backing, engine, run, pods)

    def _pods(self, engine: Engine) -> dict[str, Object]:
        return {
            pod["metadata"]["uid"]: pod
            for pod in self.outer.pods()
            if engine_of(pod) == engine and pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp")
        }

    def _lost(self, engine: Engine, run: _Run | None) -> str:
        """Why its store does not answer, "" where it does: fewer than a majority of its members are Ready."""
        wanted = majority_of(run.config if run is not None else self._config(engine))
        mine = (pod for pod in self.outer.pods() if wanted and member_of(pod) == engine)
        have = sum(kubelet.is_ready(pod) and not pod["metadata"].get("deletionTimestamp") for pod in mine)
        return f"{have} members of its store are Ready, and {wanted} have to be" if have < wanted else ""

    def _config(self, engine: Engine) -> Object:
        secret = self._host_of(engine).get("v1", "Secret", f"vc-config-{engine.name}", engine.namespace)
        if secret is None:
            raise HostError("the engine's Secret vc-config is not there")
        return config_of(secret)

    def _start(self, backing: Backing, engine: Engine, pods: dict[str, Object], restarts: int) -> _Run:
        config, service = self._config(engine), self.outer.get("Service", engine.namespace, engine.name)
        if service is None:
            raise HostError("the engine's Service is not there")
        run = _Run(config, restarts=restarts)
        began = time.monotonic()
        self._runs[engine] = run  # before the start: syncers ask for the tenancy from their first object on
        try:
            backing.start(Tenancy(engine, run.config, service), list(pods.values()))
        except HostError:
            self._stop(backing, engine, run)
            raise
        LOG.info("%s runs after %.3f s", engine, time.monotonic() - began)
        return run

    def _stop(self, backing: Backing, engine: Engine, run: _Run) -> None:
        self._runs.pop(engine, None)
        began = time.monotonic()
        backing.stop(engine, list(run.pods.values()))
        LOG.info("%s stopped within %.1f s", engine, time.monotonic() - began)

    def _look(self, backing: Backing, engine: Engine, run: _Run, pods: dict[str, Object]) -> float | None:
        for uid, pod in pods.items():
            if uid not in run.pods:
                backing.reach(engine, pod)
                run.pods[uid] = pod["metadata"]["name"]
        tenancy = self.tenancy(engine)
        run.failures = 0 if tenancy and backing.ready(tenancy) else run.failures + 1
        if run.failures == 0:
            self._report(engine, pods, ready=True, restarts=run.restarts)
        elif run.failures >= min(_threshold(pod) for pod in pods.values()):
            self._report(engine, pods, ready=False, restarts=run.restarts)
        return PROBE_SECONDS if backing.probed else None

    def _report(self, engine: Engine, pods: dict[str, Object], *, ready: bool, restarts: int) -> None:
        for pod in pods.values():
            if kubelet.is_ready(pod) != ready or not pod.get("status", {}).get("podIP"):
                self._report_one(engine, pod, ready, restarts)

    def _report_one(self, engine: Engine, pod: Object, ready: bool, restarts: int) -> None:
        meta, now = pod["metadata"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        address = pod.get("status", {}).get("podIP") or self._address()
        if ready and self._backing is not None:
            self._locate(address, self._backing.port(engine))
        wanted = kubelet.status(pod, ready=ready, address=address, now=now, restarts=restarts)
        body = {"metadata": {"uid": meta["uid"]}, "status": wanted}
        self._admin.patch("v1", "Pod", meta["name"], meta["namespace"], body, subresource="status", form="strategic")

    def _address(self) -> str:
        number = next(self._addresses)
        return f"10.243.{number // 250 % 256}.{number % 250 + 1}"  # beside the range kwok gives to other pods


def _threshold(pod: Object) -> int:
    probe = pod["spec"]["containers"][0].get("readinessProbe", {})
    return int(probe.get("failureThreshold", 3))


def announce(client: Client, tenancy: Tenancy, plane: Plane) -> None:
    """Leave on the host, as the engine, what the product looks for: the kubeconfig Secret and two annotations."""
    name, namespace = tenancy.engine.name, tenancy.engine.namespace
    ca = plane.keys.ca.certificate
    client.apply(contract.kubeconfig_secret(tenancy.engine, tenancy.service, ca, plane.admin), manager="vcluster")
    service, config = contract.marks(tenancy.config)
    client.patch("v1", "Service", name, namespace, service)
    client.patch("v1", "Secret", f"vc-config-{name}", namespace, config)
