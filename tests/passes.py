"""Real passes of the controller on API servers in memory: push files, work until the queue is empty, look at the
objects.

Real: client, discovery, the cache of the host (where asked for), registry, queue, workers, store, reporter, gather, plan, apply.
Of the tests: the servers, time, who renders (in this process) and what a host does by itself (`Fleet.engines`).
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from reconciler import review
from reconciler.controller import requests as rounds
from reconciler.controller import watches
from reconciler.controller.errands import Errands
from reconciler.controller.probes import Probes
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry, Wakes
from reconciler.controller.workers import Tools, Workers
from reconciler.errors import ApiError, ErrorClass
from reconciler.gather import Reader, servers
from reconciler.inventory import requests
from reconciler.inventory.store import State, Store
from reconciler.kube.client import Client
from reconciler.kube.events import Seen
from reconciler.model import (
    Bundle,
    EngineChart,
    HostFacts,
    LayerStatus,
    ObjectRef,
    Plan,
    Review,
    Rules,
    Target,
)
from reconciler.packs.content import Content
from reconciler.packs.queue import Owner
from reconciler.packs.render import Renderer
from reconciler.report import Reporter
from reconciler.report.view import ConditionView
from schemas import crds
from tests import shell
from tests.documents import cluster as cluster
from tests.documents import config_map as config_map
from tests.documents import crd as crd
from tests.documents import pack as pack
from tests.documents import profile as profile
from tests.memory import actors
from tests.memory.server import Server
from tests.memory.storage import Snapshot
from tests.repository import BLOBS, Renders, Repository
from tests.turns import Turns

HOME = "nidus-system"
SOURCE = "platform"
START = float(int(time.time()))  # whole seconds, as objects carry them
_TAG = re.compile(r"/kubernetes:(v[0-9.]+)")
SOON = 0.01  # seconds until a status that could not be written is tried again
STANDS = 30 * 86400.0  # seconds that an approval stands
FACTS = HostFacts("local", account="nidus-system:nidus", namespace=HOME)
RULES = Rules(
    namespace_pattern="vcluster-{name}",
    engines=(EngineChart("0.36.1", "d", tuple((oid.removeprefix("engine:"), oid) for oid in BLOBS)),),
    kubernetes_versions=("v1.35.0", "v1.36.0"),
    grace=0.0,
    profile_versions="Mutable",
)


@cache
def installed() -> tuple[Snapshot, int]:
    """A host on which Nidus is installed, and how many uids that took: thousands of tests begin with it."""
    host = Server("host", lambda: START)
    before = len(host.core.storage.uids())
    host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
    for definition in crds.definitions().values():
        host.put(definition)
    return host.snapshot(), len(host.core.storage.uids()) - before


class Fleet:
    """One controller without threads of its own. `host` and `nested` are its servers; `down`: nested clusters that nobody can
    connect to, `bugs`: those whose passes meet an error that is none of ours, `deaf`: those whose watch has gone silent,
    `stuck`: those whose new pod of the engine never starts, `forgotten`: those whose connections, breaker and watches the process was
    told to drop.
    `content` is the product's, of what comes from elsewhere; `renderer` too, where the tests' own does not do.
    `cached`: passes read the host through the product's cache, which hears between passes what its watches say."""

    def __init__(
        self,
        rules: Rules = RULES,
        *,
        cached: bool = False,
        errands: Errands | None = None,
        probes: Probes | None = None,
    ) -> None:
        self.rules = rules
        self.cached = cached
        self.errands = errands
        self.probes = probes
        self.now = 0.0
        self.host = Server("host", lambda: START + self.now)
        self.host.brief = True
        self.nested: dict[str, Server] = {}
        self.git = Repository(FACTS)
        self.down: set[str] = set()
        self.bugs: set[str] = set()
        self.deaf: set[str] = set()
        self.stuck: set[str] = set()
        self.watched: set[str] = set()
        self.forgotten: list[str] = []
        self.unwatchable: set[str] = set()
        self.content: Content | None = None
        self.renderer: Renderer | None = None
        self._quotas: set[tuple[str, str]] = set()
        self._nonces = itertools.count(1)
        self._install()
        self.start()

    # The controller

    def start(self) -> None:
        """Begin as a new process does: with what the host remembers."""
        self.clients: dict[int, tuple[Server, int, Client]] = {}
        self.unheard = self._stale = self._read = False
        client = self._client(self.host)
        self.queue = Queue(lambda: self.now)
        self.store = Store(client, HOME)
        self.registry = Registry(self.rules, FACTS, self.store.load().states)
        whole = partial(watches.whole, self.registry.lists, ())
        self.turns = Turns(client, self.host, self._changed, whole, lambda: self.now) if self.cached else None
        self.cache = self.turns.cache if self.turns is not None else None
        self.reporter = Reporter(client, HOME, "test", first=SOON)
        try:
            self._begin(client)
        except BaseException:
            self.reporter.close()
            raise

    def _begin(self, client: Client) -> None:
        self.reporter.load()
        self.registry.hear(requests.load(client, HOME, self.registry.known(), time.time()).standing)
        self.look()
        tools = Tools(
            self.store,
            self.reader,
            self.reporter,
            b"salt",
            self._watch,
            self._forget,
            lambda: f"{next(self._nonces):016x}",
            woken=self._woken,
            clock=lambda: START + self.now,
            errands=self.errands,
            probes=self.probes,
        )
        self.workers = Workers(self.registry, self.queue, tools, 0)
        records = self.registry.records()
        contents = {
            name: self.git.accepted(one.commit) for name, one in records.items() if one.commit in self.git.commits
        }
        self.registry.remember({name: found for name, found in contents.items() if name in found.specs.clusters})

    def _watch(self, cluster: str, bundle: Bundle, refs: tuple[ObjectRef, ...]) -> None:
        if cluster in self.unwatchable:
            raise RuntimeError("can't start new thread")
        if refs:
            self.watched.add(cluster)
        else:
            self.watched.discard(cluster)

    def _forget(self, bundle: Bundle) -> None:
        self.watched.discard(bundle.cluster)
        self.forgotten.append(bundle.cluster)

    def restart(self, *, git: bool = True) -> None:
        """The process ends and another one begins: it knows what the host says, and what Git says where that can be read."""
        self.close()
        self.start()
        if not git:
            for key in self.registry.stand(SOURCE):
                self.queue.add(key)
        elif self.git.commits:
            self.admit()

    def close(self) -> None:
        self.reporter.close()

    def push(self, files: Mapping[str, str]) -> None:
        """A commit of these files is read and admitted."""
        self.git.commit(files)
        self.admit()

    def admit(self) -> None:
        """The newest commit is read and admitted (once more)."""
        self._stale, self._read = False, True
        newest = self.git.read(self.git.newest, self.rules, running=self.registry.running(SOURCE))
        rollout, changed = self.registry.revise(newest, START + self.now)
        self.held = rollout.held
        for key in changed:
            self.queue.forget(key)
            self.queue.add(key)

    def ask(
        self, kind: str, cluster: str = "", consent: str = "", items: tuple[str, ...] = (), source: str = ""
    ) -> None:
        """A human asks for something (`nidus approve`, `suspend`, `resume`)."""
        name = f"request-{self.host.core.storage.version}"
        source = source if kind == "approve" else SOURCE  # which the verb names of no approval
        told = {"source": source, "cluster": cluster, "consent": consent, "items": list(items)}
        spec = {"kind": kind, "who": "tester"} | {key: value for key, value in told.items() if value}
        if kind in ("approve", "rotate"):
            spec["expires"] = datetime.fromtimestamp(START + self.now + STANDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = {"name": name, "namespace": HOME}
        self.host.put({"apiVersion": requests.API, "kind": "Request", "metadata": meta, "spec": spec})
        self.unheard = not self.cached
        self.look()

    def run(self, passes: int = 60, seconds: float = 30.0) -> None:
        """Let workers take keys until none is due within `seconds` of the tests' own time."""
        ends = self.now + seconds
        for _ in range(passes):
            self.look()
            key = self.queue.take(0.0)
            if key is None:
                due = [at for at, _ in self.queue._due.values()] + ([self.now + 1.0] if self._lost() else [])
                if not due or min(due) > ends:
                    return
                self.now = max(self.now, min(due))
                self._ask_anew()
                continue
            before = self._version(key)
            self.workers.once(key)
            self.queue.done(key)
            self.engines()
            if key in self.watched and key not in self.deaf and self._version(key) != before:
                self.queue.add(key)

    def look(self) -> None:
        """What watches and timers of the running process do between passes: hear what moved, list anew, hear requests, admit again."""
        if self.turns is not None:
            self.turns.take()
        if self.unheard:
            try:
                client = self._client(self.host)
                rounds.heard(client, HOME, self.registry, self.queue, self._admit_again, lambda told: None)
                self.unheard = False
            except ApiError:
                pass
        if self._stale and self.git.commits:
            self.admit()

    def _lost(self) -> bool:
        """Whether something is to be tried again that no key of the queue stands for."""
        return self.unheard or (self.cache is not None and self.cache.stale_since is not None)

    def _changed(self, seen: Seen) -> None:
        """As watches.Watches hears it."""
        assert self.cache is not None
        cluster = watches.concerned(seen, self.cache.cluster)
        if cluster:
            self.queue.add(cluster)
        self.unheard = self.unheard or cluster == ""

    def _woken(self, wakes: Wakes) -> None:
        self._stale = self._stale or bool(wakes.admit)

    def sweep(self) -> None:
        """As `Sources.sweep`."""
        self.reporter.keep(self.registry.shown(), {SOURCE}, {SOURCE} if self._read else ())

    def _admit_again(self) -> None:
        self._stale = True

    def consented(self, clusters: Collection[str]) -> None:
        """As `Sources.consented`."""
        for key in clusters:
            self.queue.forget(key)
            self.queue.add(key)
        self._stale = True

    # The host

    def engines(self) -> None:
        """What a real host does by itself: engines roll out, and their API servers are there as long as their volume is."""
        self._quotas_taken()
        for engine in actors.roll_out(self.host, stuck=self.stuck):
            name = engine["metadata"]["name"]
            if (engine["metadata"].get("labels") or {}).get("app") == "vcluster" and name not in self.nested:
                self.nested[name] = Server(name, lambda: START + self.now)
            if name in self.nested and name not in self.stuck and (tag := _TAG.search(str(engine["spec"]))):
                self.nested[name].version = tag[1]
        for name, server in self.nested.items():
            if name not in self.down and name not in self.stuck and actors.sync(server):
                self.queue.add(name)
        homes = {one["metadata"]["name"] for one in self.host.objects("", "Namespace")}
        for name in [name for name in self.nested if f"vcluster-{name}" not in homes]:
            del self.nested[name]  # its volume went with its namespace

    def _quotas_taken(self) -> None:
        """The controller of quotas writes after the answer to our write; the watch of the host says so."""
        for quota in self.host.objects("", "ResourceQuota"):
            known = quota["metadata"]["uid"], str(quota.get("status"))
            labels = quota["metadata"].get("labels") or {}
            if known not in self._quotas and quota.get("status") and watches.CLUSTER in labels:
                self.queue.add(labels[watches.CLUSTER])
            self._quotas.add(known)

    def _install(self) -> None:
        snapshot, uids = installed()
        self.host.restore(snapshot)
        for _ in range(uids):  # those in the snapshot are given away
            self.host.core.uid()

    # What is to be seen

    def plans(self) -> dict[str, Plan]:
        """The plans of `review`, by cluster."""
        return {one.cluster: one.plan for one in self.review().clusters if one.plan}

    def review(self, *, every: bool = True) -> Review:
        """What `nidus plan --all` computes of the newest commit, or without `every` what `nidus plan` does."""
        snapshot = self.git.read(self.git.newest, self.rules, running=self.registry.running(SOURCE))
        states = dict(self.store.load().states)
        commits = {name: state.record.commit for name, state in states.items()}
        accepted = {name: self.git.accepted(one) for name, one in commits.items() if one in self.git.commits}
        standing = review.Standing(states, accepted, (), b"salt")
        return review.review(snapshot, standing, self.rules, FACTS, self.reader, START + self.now, every=every)

    def state(self, name: str) -> State | None:
        """What the host remembers of a cluster."""
        return self.store.read(name)

    def word(self, name: str) -> str:
        """The word of its last report."""
        return self.reporter.clusters[name].word

    def condition(self, name: str, kind: str = "Ready") -> ConditionView:
        return next(one for one in self.reporter.clusters[name].conditions if one.type == kind)

    def layer(self, name: str, layer: str) -> LayerStatus:
        return next(one for one in self.reporter.clusters[name].layers if one.name == layer)

    def names(self, name: str, group: str = "", kind: str = "ConfigMap") -> list[str]:
        """The objects of a kind inside a nested cluster."""
        return [one["metadata"]["name"] for one in self.nested[name].objects(group, kind)]

    # What a pass reads through

    def reader(self, bundle: Bundle, source: str = "") -> Reader:
        """The product's reader over the servers of this fleet."""
        host = self._client(self.host)
        seen = host.doubting(self.cache.doubt) if self.cache is not None else host
        targets: Any = _Targets(lambda target, namespace: self._target(target, bundle))
        renders: Any = self.renderer or Renders(self.git.blobs, self.content)
        owner = Owner(source, bundle.cluster)
        return servers.reader(bundle, seen, targets, renders, self._blobs, FACTS, self.cache, owner)

    def _blobs(self, oids: Collection[str]) -> dict[str, bytes]:
        return {oid: self.git.blobs[oid] for oid in oids}

    def _target(self, target: Target, bundle: Bundle) -> Client:
        if target.nested in self.bugs:
            raise RuntimeError("a bug")
        kinds = (
            self.host.get("apps", kind, bundle.namespace, bundle.cluster) for kind in ("StatefulSet", "Deployment")
        )
        engine = next((one for one in kinds if one is not None), None)
        runs = engine is not None and engine["spec"].get("replicas", 1) > 0
        if target.nested not in self.nested or target.nested in self.down or not runs:
            raise ApiError(ErrorClass.TRANSIENT, f"{target.nested} refused the connection")
        return self._client(self.nested[target.nested])

    def _client(self, server: Server) -> Client:
        """One client a server, as the process keeps them."""
        if id(server) not in self.clients:
            self.clients[id(server)] = (server, len(server.core.kinds()), shell.client(server))
        return self.clients[id(server)][2]

    def _ask_anew(self) -> None:
        """Time has passed: what a client knows of kinds may be asked again, where that is another answer."""
        there = {id(one) for one in (self.host, *self.nested.values())}
        self.clients = {
            key: (server, kinds, client)
            for key, (server, kinds, client) in self.clients.items()
            if key in there and len(server.core.kinds()) == kinds
        }

    def _version(self, name: str) -> int:
        """How far a nested server's storage is, for what a watch of it would tell."""
        return self.nested[name].core.storage.version if name in self.nested else 0


@dataclass(frozen=True, slots=True)
class _Targets:
    """What `servers.reader` uses of kube.targets.Targets."""

    client: Callable[[Target, str], Client]
