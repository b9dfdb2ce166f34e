"""Commits of any content: read, admitted and resolved, and what can be rendered in this process is rendered."""

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Any

import yaml

from reconciler import fleet
from reconciler.errors import NidusError
from reconciler.model import Bundle, Content, Layer, Limits, Revision, Snapshot
from reconciler.packs import documents
from reconciler.packs.objects import collect
from reconciler.packs.wire import Job
from reconciler.plan import mark
from reconciler.source import trees
from reconciler.spec import load, resolve
from tests.fleets import NOW, OLD, record
from tests.fuzz import values
from tests.fuzz.harness import Case
from tests.spec_cases import FACTS, FILES, RULES

LIMITS = Limits(file="64Ki", depth=30)
MODES = (b"100644", b"100755", b"120000", b"160000", b"100600", b"040000")
NAMES = (
    "a", "b.yaml", "Chart.yaml", "charts", "templates", "crds", "web", "profiles", "clusters", "-x", ".", "..", ".git", "\udcff",
    "\n", "x" * 300,
)  # fmt: skip
SPOILS = (
    b"&a ", b"*a", b"<<: ", b"!!python/name:os ", b"? ", b"|\n", b"\t", b"%YAML 1.1\n", b"---\n", b"...\n", b"{", b"}", b"'", b'"', b"\xff",
    b"\r",
    b"# nidus.dev/", b"1____",
)  # fmt: skip


OBJECTS = {
    "profiles/web/secret.yaml": b"apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {a: b}, annotations: {c: d}}\ntype: Opaque\n",
    "profiles/web/list.yaml": b"apiVersion: v1\nkind: List\nitems:\n"
    b"- {apiVersion: v1, kind: Namespace, metadata: {name: ns, labels: {a: b}}}\n",
}


def blob(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


class Base:
    """A repository that was accepted, as text and as values, and the record of one of its clusters."""

    def __init__(self, files: Mapping[str, bytes], cluster: str) -> None:
        self.files, self.cluster = dict(files), cluster
        self.bodies = {path: yaml.safe_load(data) for path, data in files.items() if _is_spec(path, data)}
        snapshot, self.known = self.read(self.files, {}, load.NOTHING)
        assert cluster in snapshot.specs.clusters, snapshot.violations
        self.before = {cluster: Content(OLD, snapshot.specs)}
        self.records = {cluster: record(cluster, digests=resolve.digests(cluster, self.before[cluster]))}
        self.more: dict[str, Any] = {
            "accepted": {cluster: snapshot.specs.clusters[cluster]},
            "in_use": fleet.in_use(self.records.values(), "platform"),
            "origins": fleet.profiles(self.before),
        }

    def read(
        self, files: Mapping[str, bytes], modes: Mapping[str, bytes], known: load.Known, **more: Any
    ) -> tuple[Snapshot, load.Known]:
        blobs = {blob(data): data for data in files.values()}
        entries = [
            trees.Entry(
                mode,
                b"commit" if mode == b"160000" else b"blob",
                blob(data),
                len(data),
                path.encode("utf-8", "surrogateescape"),
            )
            for path, data in files.items()
            for mode in (modes.get(path, b"100644"),)
        ]
        tree = trees.tree("t", entries, trees.bounds(LIMITS))
        wanted = {oid: blobs[oid] for oid in load.wanted(tree, known)}
        return load.load("platform", Revision("main", "c"), tree, wanted, known, RULES, FACTS, LIMITS, **more)

    def survives(self, files: Mapping[str, bytes], modes: Mapping[str, bytes]) -> None:
        """What was accepted keeps its content or gets a new one; every message can be shown."""
        found, _ = self.read(files, modes, self.known, **self.more)
        assert all(
            one.message and (one.path + one.message + one.hint + one.pointer).isprintable() for one in found.violations
        )
        rollout = fleet.admit(found, self.before, self.records, (), RULES, NOW)
        blobs = {blob(data): data for data in files.values()}
        for name, content in rollout.admitted.items():
            try:
                bundle = resolve.bundle(name, content, RULES, FACTS)
            except NidusError as error:
                assert error.message
                continue
            for layer in bundle.layers:
                rendered(bundle, layer, blobs)


def rendered(bundle: Bundle, layer: Layer, blobs: Mapping[str, bytes]) -> None:
    """The YAML files of a layer as a worker reads them, marked as they are sent."""
    if layer.kind != "manifests" or any(oid not in blobs for _, oid in layer.files):
        return
    files = {path: blobs[oid] for path, oid in layer.files}
    job = Job(layer.kind, layer.namespace, dict(layer.spec), files, dict(layer.context), "v1.36.0")
    try:
        found = collect((one for path in files for one in documents.read(job, path).documents), layer.namespace)
        for one in found:
            mark.mark(one, cluster=bundle.cluster, layer=layer.name, nonce="n", nested=True)
    except NidusError as error:
        assert error.message


def _is_spec(path: str, data: bytes) -> bool:
    return path.endswith(".yaml") and not path.startswith(("charts/", "."))


def repositories() -> Case:
    """One or two files changed, as values or as text, or a tree of odd entries."""
    small = Base({path: text.encode() for path, text in FILES.items()} | OBJECTS, "team-a")
    paths, specs = sorted(small.files), sorted(small.bodies)

    def case(draw: Random) -> None:
        files, modes = dict(small.files), dict[str, bytes]()
        how = draw.random()
        if how < 0.55:
            for path in draw.sample(specs, draw.randint(1, 2)):
                body = values.change(draw, small.bodies[path], 4)
                files[path] = values.encoded(body) if draw.random() < 0.9 else values.written(body)
        elif how < 0.85:
            path = draw.choice(paths)
            files[path] = spoilt(draw, files[path])
        else:
            for path in draw.sample(paths, draw.randrange(3)):
                del files[path]
            for _ in range(draw.randrange(6)):
                path = "/".join(draw.choice(NAMES) for _ in range(draw.randint(1, 4)))
                files[path], modes[path] = draw.choice(list(small.files.values())), draw.choice(MODES)
        small.survives(files, modes)

    return case


def spoilt(draw: Random, data: bytes) -> bytes:
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(data) + 1)
        data = data[:at] + draw.choice(SPOILS) * draw.choice((1, 1, 1, 50)) + data[at:]
    return values.damage(draw, data) if draw.random() < 0.5 else data
