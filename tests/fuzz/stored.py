"""What the controller keeps on the host, as whoever may write there could change it: records, requests, marks and status objects."""

from random import Random
from typing import Any

from reconciler.controller import sync_requests
from reconciler.errors import NidusError
from reconciler.inventory import packing, requests
from reconciler.inventory.reading import Reading
from reconciler.model import ObjectRef
from reconciler.report import bodies
from tests.fleets import record
from tests.fuzz import values
from tests.fuzz.harness import Case
from tests.server_model import entry

NOW = 1_800_000_000 * 10**9  # nanoseconds
HEAD: dict[str, Any] = {
    "namespace": "nidus-system",
    "uid": "u1",
    "resourceVersion": "7",
    "creationTimestamp": "2026-11-01T00:00:00Z",
}
REQUEST = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "Request",
    "metadata": {"name": "r1", **HEAD},
    "spec": {"kind": "approve", "who": "ops", "source": "p", "cluster": "a", "consent": "c", "items": ["a", "b"], "reason": "r",
             "expires": "2026-12-01T00:00:00Z"},
}  # fmt: skip
OLD = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "nidus-request-a", **HEAD},
    "data": {"request": '{"kind":"suspend","who":"ops","cluster":"a","expires":2}'},
}
SOURCE = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "Source",
    "metadata": {"name": "p", **HEAD, "annotations": {sync_requests.REQUESTED: "1", sync_requests.RESYNC: "2"}},
    "spec": {"url": "https://git.example.com/p.git"},
    "status": {"generation": 1, "revision": "main@sha1:c", "violations": [{"file": "a.yaml", "line": 1, "message": "m"}],
               "conditions": [{"type": "Ready", "status": "True", "reason": "r", "message": "m"}]},
}  # fmt: skip
CLUSTER = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "NestedCluster",
    "metadata": {"name": "a", **HEAD},
    "spec": {"source": "p", "file": "clusters/a.yaml"},
    "status": {"word": "Current", "plan": {"held": ["x"], "counts": {"create": 1}}, "layers": [{"name": "l", "health": "Current"}],
               "conditions": [{"type": "Ready", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": "2026-11-01"}]},
}  # fmt: skip


def stored() -> Case:
    """One of them, changed."""
    state = packing.State(record("a"), (entry(ObjectRef("", "ConfigMap", "web", "c"), fields=("data.a",)),))
    head = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "nidus-record-a", **HEAD},
        "data": dict(packing.pack(state).head),
    }
    kinds = (read_record, read_request, read_source, read_cluster)
    found = (head, REQUEST, SOURCE, CLUSTER)

    def case(draw: Random) -> None:
        which = draw.randrange(4)
        before = draw.choice((REQUEST, OLD)) if which == 1 else found[which]
        told = changed(draw, before)
        kinds[which](draw, told)

    return case


def changed(draw: Random, before: dict[str, Any]) -> Any:
    """The object with anything in it but its identity, which `kube` checks."""
    told = {key: values.change(draw, before[key]) for key in before if key not in ("apiVersion", "kind", "metadata")}
    if "data" in told and draw.random() < 0.5:
        told["data"] = {
            **before["data"],
            **{key: texts(draw, value) for key, value in before["data"].items() if draw.random() < 0.4},
        }
    meta = {
        **before["metadata"],
        "annotations": {key: draw.choice(values.TEXTS) for key in before["metadata"].get("annotations", ())},
    }
    return {"apiVersion": before["apiVersion"], "kind": before["kind"], "metadata": meta, **told}


def texts(draw: Random, text: str) -> str:
    return draw.choice((values.damage(draw, text.encode()).decode("utf-8", "replace"), draw.choice(values.TEXTS)))


def read_record(draw: Random, told: Any) -> None:
    del draw
    try:
        packing.base(told)
        assert packing.unpack(told, {}).record.cluster == "a"
    except NidusError as error:
        assert error.message.isprintable()


def read_request(draw: Random, told: Any) -> None:
    reading = Reading({"a": 0.0}, 1e9)
    for version in range(draw.randint(1, 3)):
        one = requests.parse(told)
        if one is not None:
            assert (one.who + one.reason).isprintable() and one.name == told["metadata"]["name"]
            reading.take(one, version)
    requests.suspended(reading.done().standing, "a", 1e9)


def read_source(draw: Random, told: Any) -> None:
    for annotation in (sync_requests.REQUESTED, sync_requests.RESYNC):
        assert 0 <= sync_requests.read(told, annotation, NOW) <= NOW + sync_requests.AHEAD
    bodies.source(bodies.read_source(told))


def read_cluster(draw: Random, told: Any) -> None:
    bodies.cluster(bodies.read_cluster(told))
