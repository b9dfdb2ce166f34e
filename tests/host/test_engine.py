"""A real API server takes the host layers of a cluster, written as the shipped account, and the engine starts under its own quota."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart
from msgspec.structs import replace

from devhost.account import Account
from devhost.api import ApiError
from devhost.hosting import TestHost
from reconciler import engine, health
from reconciler.engine import leftovers, readiness
from reconciler.model import (
    ClusterDocument,
    ClusterSpec,
    Health,
    HostFacts,
    Isolation,
    Layer,
    ObjectRef,
    Quota,
    Rules,
    Scheduling,
    Store,
)
from reconciler.plan import mark
from tests.test_engine_values import CHART, FULL, INGRESS, NODE_PORT, cluster

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("shared_host")]

FOLDER = Path(__file__).parents[2] / "devhost" / "chart"
TIGHT = Quota(
    cpu="10m",
    memory="10Mi",
    storage="1Mi",
    ephemeral_storage="10Mi",
    pods=0,
    services=0,
    load_balancers=0,
    node_ports=0,
)
SPECS = {
    "one": ClusterSpec(quota=TIGHT),
    "port": replace(NODE_PORT, quota=TIGHT, expose=replace(NODE_PORT.expose, node_port=0)),
    "edge": replace(INGRESS, quota=TIGHT, isolation=Isolation(pod_security="restricted")),
    "full": replace(
        FULL,
        quota=TIGHT,
        control_plane=replace(FULL.control_plane, store=Store(type="etcd", size="8Gi")),
        scheduling=Scheduling(tolerations=FULL.scheduling.tolerations),
        expose=replace(FULL.expose, load_balancer_class=""),
    ),
}


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_the_engine_starts_under_a_quota_that_leaves_the_tenant_nothing(
    kind: str, shared_host: TestHost, account: Account
) -> None:
    name, spec = f"{account.name}-{kind}", SPECS[kind]
    *guards, plane = layers(name, spec, account)
    namespace = plane.namespace
    for layer in guards:
        refs = [apply(account, marked(obj, name)) for obj in layer.spec["objects"]]
        until(lambda refs=refs: [health.compute(live(shared_host, *ref)) for ref in refs])
    refs = [apply(account, marked(obj, name)) for obj in rendered(plane, name)]
    until(lambda: [readiness.compute(found(shared_host, refs), True, True)])
    claims = {ref.name for ref in leftovers.claims(cluster(spec, name), namespace)}
    made = shared_host.client.list("v1", "PersistentVolumeClaim", namespace)["items"]
    assert {one["metadata"]["name"] for one in made} == claims


def layers(name: str, spec: ClusterSpec, account: Account) -> tuple[Layer, Layer, Layer]:
    user = account.user.removeprefix("system:serviceaccount:")
    rules = Rules("vcluster-{name}", (CHART,), ("v1.35.0", "v1.36.0"))
    document = ClusterDocument(cluster(spec, name), "a.yaml", 1, "digest")
    assert [*engine.unoffered(document.cluster, rules), *engine.impossible(document.cluster)] == []
    return engine.layers(document, engine.namespace_of(name, rules), rules, HostFacts("local", account=user))


def rendered(layer: Layer, name: str) -> list[dict[str, Any]]:
    with Chart.load(FOLDER) as chart:
        files = chart.render(layer.spec["values"], name=name, namespace=layer.namespace)
    objects = [obj for text in files.values() for obj in yaml.safe_load_all(text) if obj]
    for one in objects:  # the chart's budget names none: packs.objects does the same
        one["metadata"].setdefault("namespace", layer.namespace)
    return objects


def marked(obj: dict[str, Any], name: str) -> dict[str, Any]:
    """As it is really sent: without our labels the admission policies refuse the namespace."""
    return dict(mark.mark(obj, cluster=name, layer="engine", nonce="n", nested=False))


Ref = tuple[str, str, str, str]


def apply(account: Account, obj: Any) -> Ref:
    """Applies as the account; a binding made a moment ago takes a moment to be believed."""
    deadline = time.monotonic() + 60
    while True:
        try:
            account.client.apply(obj)
        except ApiError as error:
            if error.status != 403 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            meta = obj["metadata"]
            return obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", "")


def live(host: TestHost, api: str, kind: str, name: str, namespace: str) -> dict[str, Any]:
    got = host.client.get(api, kind, name, namespace)
    assert got is not None
    return got


def found(host: TestHost, refs: list[Ref]) -> dict[ObjectRef, dict[str, Any]]:
    return {ObjectRef(ref[0].rpartition("/")[0], ref[1], ref[3], ref[2]): live(host, *ref) for ref in refs}


def until(state: Callable[[], list[Health]], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while waiting := [one for one in state() if one.status != "Current"]:
        assert time.monotonic() < deadline, waiting[0]
        time.sleep(0.1)
