"""The controller's real parts on servers in memory: `client` over one server, `Shell` over a host and its nested clusters.

Real: client, discovery, breakers, board, queue, workers, store, reporter, gather, plan, apply. Of the tests: the servers, the
engine's chart (ENGINE_CHART: a StatefulSet and a Service), and who rolls workloads out (tests.memory.actors).
"""

import hashlib
import importlib
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from reconciler.controller import watches
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.controller.workers import Tools, Workers
from reconciler.errors import ApiError, ErrorClass, Stalled
from reconciler.gather import Reader
from reconciler.inventory import requests as asked
from reconciler.inventory.salt import salt
from reconciler.inventory.store import Store
from reconciler.kube.breaker import Breaker
from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import Guard, Transport
from reconciler.kube.transport import Limits as Patience
from reconciler.model import (
    Bundle,
    Content,
    Layer,
    Limits,
    Object,
    ObjectRef,
    Revision,
    Rollout,
    Rules,
    Snapshot,
    Target,
)
from reconciler.packs import KINDS, worker
from reconciler.packs.wire import Job
from reconciler.report import Reporter
from reconciler.report.view import ClusterView
from reconciler.spec import load
from tests.memory import actors
from tests.memory.api import Api
from tests.memory.failures import Call
from tests.memory.server import Server
from tests.spec_cases import FACTS, RULES, tree

DEADLINE = 10.0
NAMESPACE = "nidus-system"
SOURCE = "platform"
CRDS = Path(__file__).parents[1] / "deploy" / "crds"
ROUNDS = 40
PROFILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: web}
spec:
  version: 1.0.0
  packs:
    - {name: base, namespace: web, manifests: {files: ["web/*.yaml"]}}
"""
CLUSTER = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: NAME}
spec:
  namespaces: [{name: web}]
  profiles: [{name: web, version: "1.0.x"}]
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {a: '1'}\n"


def cluster(name: str) -> str:
    """The document of a cluster that uses profile web."""
    return CLUSTER.replace("NAME", name)


FILES = {"profiles/web.yaml": PROFILE, "profiles/web/config.yaml": CONFIG, "clusters/team-a.yaml": cluster("team-a")}


def client(
    server: Server, fence: Callable[[], None] = no_fence, *, guard: Guard | None = None, deadline: float = DEADLINE
) -> Client:
    """The product's client of a server in memory."""
    return Client(Transport(Api(server), guard=guard, limits=Patience(deadline=deadline)), fence=fence)


class Shell:
    """One controller on one host. `push` a repository, `run` until nothing moves, look at `word`, `host`, `nested`.

    `fence` stands before every write. What survives a restart of the controller is in the servers: `restart` makes everything
    else anew. Nested servers come up when `act` sees their engine rolled out, and go with its Secret.
    """

    def __init__(self, *, rules: Rules = RULES, fence: Callable[[], None] = no_fence) -> None:
        self.rules, self.fence = rules, fence
        self.host = Server(FACTS.name)
        self.nested: dict[str, Server] = {}
        self.revisions: dict[str, Mapping[str, str]] = {}
        self.acting = True
        self._renders = Renders()
        self._blobs: dict[str, bytes] = {}
        self._known = load.NOTHING
        _install(self.host)
        self.restart()

    # The repository

    def push(
        self, files: Mapping[str, str] = FILES, *, trailers: tuple[tuple[str, str], ...] = (), now: float = 1.0
    ) -> Rollout:
        """Let Git say `files`: read, validate, admit; what changed is queued. The commit is a digest of the files."""
        snapshot = self.read(files, trailers=trailers)
        rollout, changed = self.registry.revise(snapshot, now)
        for key in changed:
            self.queue.forget(key)
            self.queue.add(key)
        return rollout

    def read(self, files: Mapping[str, str], *, trailers: tuple[tuple[str, str], ...] = ()) -> Snapshot:
        """The snapshot of these files."""
        whole, blobs = tree(files)
        self._blobs |= blobs
        commit = hashlib.sha1(msgspec.json.encode(whole.files, order="deterministic")).hexdigest()
        self.revisions[commit] = dict(files)
        snapshot, self._known = load.load(
            SOURCE, Revision("main", commit), whole, blobs, self._known, self.rules, FACTS, Limits(), trailers=trailers
        )
        return snapshot

    # The controller

    def restart(self) -> None:
        """A new process: everything in memory is gone, what the host holds is read again."""
        self.client = client(self.host, self.fence)
        self._clients: dict[str, Client] = {}
        self.queue = Queue()
        self.store = Store(self.client, NAMESPACE)
        self.registry = Registry(self.rules, FACTS, self.store.load().states)
        self.reporter = Reporter(self.client, NAMESPACE, "test")
        self.reporter.load()
        self.registry.hear(asked.load(self.client, NAMESPACE))
        self.registry.remember(self._accepted())
        nonces = itertools.count(1)
        tools = Tools(
            self.store, self.reader, self.reporter, salt(self.client, NAMESPACE), lambda *_: None, self._forget,
            lambda: f"{next(nonces):08x}",
        )  # fmt: skip
        self.workers = Workers(self.registry, self.queue, tools, 0)

    def reader(self, bundle: Bundle) -> Reader:
        """What a pass sees through; every object is asked for."""
        targets: Any = _Targets(self.target)
        renders: Any = self._renders
        return watches.reader(bundle, self.client, targets, renders, self.blobs, FACTS, None)

    def client_of(self, cluster: str) -> Client:
        """The product's client of a nested cluster."""
        if cluster not in self._clients:
            guard = Breaker()
            self._clients[cluster] = client(self.nested[cluster], self.fence, guard=guard)
        return self._clients[cluster]

    def target(self, target: Target, namespace: str) -> Client:
        """As kube.targets gives them out: a nested cluster needs its engine's Secret first."""
        name = target.nested
        if self.client.get(ObjectRef("", "Secret", namespace, f"vc-{name}")) is None or name not in self.nested:
            raise ApiError(
                ErrorClass.TRANSIENT, f"the control plane of {name} is not up: Secret vc-{name} does not exist yet"
            )
        return self.client_of(name)

    def once(self, cluster: str) -> ClusterView:
        """One pass over one cluster; what is known of it then."""
        self.workers.once(cluster)
        return self.reporter.clusters[cluster]

    def run(self, rounds: int = ROUNDS) -> None:
        """Passes over every cluster, and acts between them, until a round changes nothing on any server; at most `rounds`."""
        for _ in range(rounds):
            before = self._versions()
            self.act()
            for key in self.registry.names():
                self.workers.once(key)
            if self._versions() == before:
                return

    def act(self) -> None:
        """Workloads of the host are rolled out, engines come up, nested servers of engines that are gone go."""
        if not self.acting:
            return
        actors.roll_out(self.host)
        running = {release for _, release in actors.engines(self.host)}
        for name in running - self.nested.keys():
            self.nested[name] = Server(name)
        for name in [name for name in self.nested if name not in running]:
            self.nested.pop(name).close()
            self._clients.pop(name, None)
        for server in self.nested.values():
            actors.roll_out(server)

    def writes(self) -> list[Call]:
        """The logged calls that were meant to change something, without Events: a thread of their own sends those."""
        calls = [call for server in (self.host, *self.nested.values()) for call in server.log]
        return [call for call in calls if call.writes and call.kind != "Event"]

    def word(self, cluster: str) -> str:
        """The status word on the home cluster."""
        found = self.host.get("nidus.dev", "NestedCluster", NAMESPACE, cluster) or {}
        return str((found.get("status") or {}).get("status", ""))

    def blobs(self, oids: Collection[str]) -> dict[str, bytes]:
        """Content by id, of every revision that was read."""
        return {oid: self._blobs.get(oid, b"") for oid in oids}

    def close(self) -> None:
        """End what runs by itself."""
        self.reporter.close()
        for server in (self.host, *self.nested.values()):
            server.close()

    def _accepted(self) -> dict[str, Content]:
        found = {
            name: record.commit for name, record in self.registry.records().items() if record.commit in self.revisions
        }
        contents = {commit: self.read(self.revisions[commit]).content for commit in set(found.values())}
        return {name: contents[commit] for name, commit in found.items() if name in contents[commit].specs.clusters}

    def _forget(self, bundle: Bundle) -> None:
        self._clients.pop(bundle.cluster, None)

    def _versions(self) -> list[tuple[str, int]]:
        return [(server.name, server.core.storage.version) for server in (self.host, *self.nested.values())]


@dataclass(frozen=True, slots=True)
class _Targets:
    """What `watches.reader` uses of kube.targets.Targets."""

    client: Callable[[Target, str], Client]


def _install(host: Server) -> None:
    """What deploy/ puts on a host before the controller starts."""
    host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for file in sorted(CRDS.glob("*.yaml")):
        for crd in yaml.safe_load_all(file.read_text()):
            host.put(crd)


# Rendering


class Renders:
    """`packs.render.Renderer` without processes: the same work in this one. The engine's chart is `engine_chart`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    def render(
        self, layer: Layer, read: watches.Read, *, host_version: str, api_versions: tuple[str, ...] = ()
    ) -> tuple[Object, ...]:
        """As Renderer.render."""
        key = (layer.digest, host_version)
        if key not in self._kept:
            self._kept[key] = msgspec.json.encode(self._render(layer, read, host_version, api_versions))
        return tuple(msgspec.json.decode(self._kept[key]))

    def _render(self, layer: Layer, read: watches.Read, host_version: str, api_versions: tuple[str, ...]) -> Any:
        if layer.name == "engine":
            return engine_chart(layer)
        blobs = read([oid for _, oid in layer.files]) if layer.files else {}
        spec: dict[str, Any] = dict(layer.spec)
        job = Job(
            layer.kind, layer.namespace or str(spec.get("namespace", "")), spec,
            {path: blobs[oid] for path, oid in layer.files}, dict(layer.context), host_version, api_versions,
        )  # fmt: skip
        made = worker.answer(job, {layer.kind: importlib.import_module(KINDS[layer.kind]).render})
        if made.reason:
            raise Stalled(made.message, reason=made.reason, hint=made.hint)
        return msgspec.json.decode(made.objects)


def engine_chart(layer: Layer) -> list[Object]:
    """The least an engine's chart holds: a StatefulSet that carries the digest of its values, and a Service."""
    name = str(layer.spec["release"])
    labels = {"app": "vcluster", "release": name}
    digest = hashlib.sha256(msgspec.json.encode(layer.spec["values"], order="deterministic")).hexdigest()[:16]
    meta = {"name": name, "namespace": layer.namespace, "labels": labels}
    pod = {
        "metadata": {"labels": labels, "annotations": {"values": digest}},
        "spec": {"containers": [{"name": "syncer", "image": "vcluster"}]},
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": [{"name": "https", "port": 443}]}},
        {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta,
            "spec": {"serviceName": name, "replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
        },
    ]  # fmt: skip
