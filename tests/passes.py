"""Real passes of the controller on API servers in memory: push files, let the queue run dry, look at what stands."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.controller.workers import Tools, Workers
from reconciler.errors import ApiError, ErrorClass, Stalled
from reconciler.gather import Reader
from reconciler.inventory.store import State, Store
from reconciler.kube.client import Client
from reconciler.model import (
    Bundle,
    Content,
    EngineChart,
    HostFacts,
    Layer,
    LayerStatus,
    Object,
    Revision,
    Rules,
    Snapshot,
    Target,
)
from reconciler.packs import KINDS
from reconciler.packs.wire import Job
from reconciler.packs.worker import answer
from reconciler.report import Reporter
from reconciler.report.view import ConditionView
from reconciler.spec import config as configuration
from schemas import crds
from tests import shell
from tests.memory.server import Server
from tests.spec_cases import snapshot, tree

HOME = "nidus-system"
CHART = Path(__file__).parents[1] / "devhost" / "chart"
BLOBS = {f"engine:{path.relative_to(CHART)}": path.read_bytes() for path in sorted(CHART.rglob("*")) if path.is_file()}
FACTS = HostFacts("local", account="nidus-system:nidus", namespace=HOME)
RULES = Rules(
    namespace_pattern="vcluster-{name}",
    engines=(EngineChart("0.36.1", "d", tuple((oid.removeprefix("engine:"), oid) for oid in BLOBS)),),
    kubernetes_versions=("v1.35.0", "v1.36.0"),
    grace=0.0,
    profile_versions="Mutable",
)
_RENDER = {kind: importlib.import_module(module).render for kind, module in KINDS.items()}
_rendered: dict[str, bytes] = {}


class Fleet:
    """One controller without threads. `host` and `nested` are its servers; `down`: nested clusters that nobody can connect to,
    `bugs`: those whose passes meet an error that is none of ours."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.host = Server("host")
        self.nested: dict[str, Server] = {}
        self.commits: dict[str, Mapping[str, str]] = {}
        self.now = 0.0
        self.down: set[str] = set()
        self.bugs: set[str] = set()
        self.watched: set[str] = set()
        self.blobs = dict(BLOBS)
        self._install()
        self.start()

    def start(self) -> None:
        """Begin as a new process does: with what the host remembers."""
        self.clients: dict[int, Client] = {}
        client = self._client(self.host)
        self.store = Store(client, HOME)
        self.registry = Registry(self.rules, FACTS, self.store.load().states)
        self.queue = Queue(lambda: self.now)
        self.reporter = Reporter(client, HOME, "test")
        self.reporter.load()
        tools = Tools(
            self.store,
            self.reader,
            self.reporter,
            b"salt",
            lambda cluster, bundle, refs: self.watched.add(cluster) if refs else self.watched.discard(cluster),
            lambda bundle: None,
            lambda: secrets.token_hex(8),
        )
        self.workers = Workers(self.registry, self.queue, tools, 0)
        records = self.registry.records()
        contents = {name: self._accepted(one.commit) for name, one in records.items() if one.commit in self.commits}
        self.registry.remember({name: found for name, found in contents.items() if name in found.specs.clusters})

    def restart(self) -> None:
        """The process ends and another one begins: it knows what the host and Git say."""
        self.close()
        self.start()
        if self.commits:
            self.admit()

    def close(self) -> None:
        self.reporter.close()

    def push(self, files: Mapping[str, str]) -> None:
        """A commit of these files is read and admitted."""
        self.blobs |= tree(files)[1]
        self.commits[f"{len(self.commits) + 1:040x}"] = dict(files)
        self.admit()

    def admit(self) -> None:
        """The newest commit is read and admitted (once more)."""
        _, changed = self.registry.revise(self._read(list(self.commits)[-1]), 1.0)
        for key in changed:
            self.queue.forget(key)
            self.queue.add(key)

    def run(self, passes: int = 60, seconds: float = 30.0) -> None:
        """Let workers take keys until none is due within `seconds` of the tests' own time."""
        ends = self.now + seconds
        for _ in range(passes):
            key = self.queue.take(0.0)
            if key is None:
                due = [at for at, _ in self.queue._due.values()]
                if not due or min(due) > ends:
                    return
                self.now = max(self.now, min(due))
                self.clients.clear()  # time has passed: what a client knows of kinds may be asked again
                continue
            before = self._version(key)
            self.workers.once(key)
            self.queue.done(key)
            self.engines()
            if key in self.watched and self._version(key) != before:
                self.queue.add(key)

    def engines(self) -> None:
        """What a real host does by itself: quotas are counted, engines roll out and write their credentials."""
        for quota in self.host.objects("", "ResourceQuota"):
            if (quota.get("status") or {}).get("hard") != quota["spec"]["hard"]:
                self.host.put({**quota, "status": {"hard": quota["spec"]["hard"]}}, subresource="status")
        for engine in self.host.objects("apps", "StatefulSet"):
            meta, count = engine["metadata"], engine["spec"].get("replicas", 1)
            name = meta["name"]
            status = {
                "observedGeneration": meta.get("generation", 1),
                "replicas": count,
                "readyReplicas": count,
                "availableReplicas": count,
                "updatedReplicas": count,
                "currentReplicas": count,
                "currentRevision": "r",
                "updateRevision": "r",
            }
            if engine.get("status") != status:
                self.host.put({**engine, "status": status}, subresource="status")
            if name not in self.nested:
                self.nested[name] = Server(name)
        homes = {one["metadata"]["name"] for one in self.host.objects("", "Namespace")}
        for name in [name for name in self.nested if f"vcluster-{name}" not in homes]:
            del self.nested[name]  # its volume went with its namespace

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

    def reader(self, bundle: Bundle) -> Reader:
        def client(target: Target) -> Client:
            if not target.nested:
                return self._client(self.host)
            if target.nested in self.bugs:
                raise RuntimeError("a bug")
            runs = self.host.get("apps", "StatefulSet", bundle.namespace, bundle.cluster) is not None
            if target.nested not in self.nested or target.nested in self.down or not runs:
                raise ApiError(ErrorClass.TRANSIENT, f"{target.nested} refused the connection")
            return self._client(self.nested[target.nested])

        return Reader(client, lambda target, ref: None, self.render, lambda target, live: None)

    def render(self, layer: Layer) -> tuple[Object, ...]:
        """As a worker does, in this process."""
        if layer.digest not in _rendered:
            spec: dict[str, Any] = dict(layer.spec)
            files = {path: self.blobs[oid] for path, oid in layer.files}
            home = layer.namespace or str(spec.get("namespace", ""))
            found = answer(Job(layer.kind, home, spec, files, dict(layer.context), "v1.36.0"), _RENDER)
            if found.reason:
                raise Stalled(found.message, reason=found.reason)
            _rendered[layer.digest] = bytes(found.objects)
        return tuple(msgspec.json.decode(_rendered[layer.digest]))

    def _read(self, commit: str) -> Snapshot:
        found = snapshot(self.commits[commit], rules=self.rules, running=self.registry.running("platform"))[0]
        return replace(found, revision=Revision("main", commit))

    def _accepted(self, commit: str) -> Content:
        """What was accepted before: it was judged then, whatever the rules are now."""
        found = snapshot(self.commits[commit], rules=configuration.anything())[0]
        return replace(found, revision=Revision("main", commit)).content

    def _client(self, server: Server) -> Client:
        """One client a server, as the process keeps them."""
        if id(server) not in self.clients:
            self.clients[id(server)] = shell.client(server)
        return self.clients[id(server)]

    def _version(self, name: str) -> int:
        """How far a nested server's storage is, for what a watch of it would tell."""
        return self.nested[name].core.storage.version if name in self.nested else 0

    def _install(self) -> None:
        self.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        for definition in crds.definitions().values():
            self.host.put(definition)


def cluster(name: str = "a", **spec: Any) -> str:
    """A NestedCluster of profile `web`; JSON is YAML."""
    body = {"namespaces": [{"name": "web"}], "profiles": [{"name": "web", "version": "1.x"}], **spec}
    document = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "NestedCluster",
        "metadata": {"name": name},
        "spec": body,
    }
    return msgspec.json.encode(document).decode()


def profile(*packs: Mapping[str, Any], name: str = "web", version: str = "1.0.0") -> str:
    """A ClusterProfile of these packs."""
    document = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "ClusterProfile",
        "metadata": {"name": name},
        "spec": {"version": version, "packs": list(packs)},
    }
    return msgspec.json.encode(document).decode()


def pack(name: str, *objects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A pack of these objects in namespace `web`."""
    return {"name": name, "namespace": "web", "manifests": {"objects": list(objects)}, **more}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def crd(scope: str = "Cluster", group: str = "zones.example", kind: str = "Zone") -> dict[str, Any]:
    """A CustomResourceDefinition without a schema to speak of."""
    plural = f"{kind.lower()}s"
    whole = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
