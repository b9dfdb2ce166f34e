"""The product with the official engine behind it: everything else here stands on a stand-in for it."""

import os
import time
from typing import Any

import pytest

from devhost.api import Client
from tests.documents import RESTRICTED
from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (os.environ.get("NIDUS_VCLUSTER") and os.environ.get("NIDUS_VCLUSTER_CHART")),
        reason="needs the official engine: NIDUS_VCLUSTER names its binary, NIDUS_VCLUSTER_CHART the folder of its chart",
    ),
]

SECONDS = 240.0  # the engine starts an API server, a database and controllers of its own
MANAGED_BY = "vcluster.loft.sh/managed-by"


def test_pushes_become_software_inside_the_official_engine(own_field: Field) -> None:
    """A first push makes cluster and software; a second one changes, adds and removes."""
    field = own_field
    name = written(field, [config_map("greeting", text="one"), config_map("former", text="gone soon"), web(replicas=1)])
    began = time.monotonic()
    first = field.push("the first")
    field.start()
    field.wait(name, seconds=SECONDS)
    print(f"Ready {time.monotonic() - began:.1f} s after the push")
    field.wait_applied(name, first)
    inside = field.inside(name)
    assert text(inside, name, "greeting") == "one"
    assert text(inside, name, "former") == "gone soon"
    assert available(inside, name) == 1
    assert len(pods_of(field, name)) == 1

    written(field, [config_map("greeting", text="two"), config_map("latter", text="new"), web(replicas=2)])
    began = time.monotonic()
    second = field.push("the second")
    field.wait_applied(name, second)
    field.wait(name)
    print(f"the second push was applied and Ready {time.monotonic() - began:.1f} s after it")
    assert text(inside, name, "greeting") == "two"
    assert text(inside, name, "latter") == "new"
    assert text(inside, name, "former") is None
    assert available(inside, name) == 2
    assert len(pods_of(field, name)) == 2


def written(field: Field, objects: list[dict[str, Any]], helm: dict[str, Any] | None = None) -> str:
    """Write a profile of a namespace and `objects`, and of a chart if one is given, and one cluster that uses it; returns the cluster's
    name."""
    packs: list[dict[str, Any]] = [{"name": "web", "manifests": {"objects": [namespace(), *objects]}}]
    packs += [{"name": "chart", "helm": helm}] if helm else []
    field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
    name = field.cluster()
    field.write("clusters/a.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    return name


LEVEL = "pod-security.kubernetes.io/enforce"
CHART = """\
apiVersion: v1
kind: Namespace
metadata: {name: levelled, labels: {pod-security.kubernetes.io/enforce: privileged}}
"""


def test_what_the_engine_writes_inside_itself_is_not_written_back(own_field: Field) -> None:
    """The engine makes a Service anew with its address on the host, and gives every namespace its pod security level. Before, the
    Services were somebody else's by then, so that the cluster was Held for ever, and the level was written back for ever."""
    field = own_field
    field.write("profiles/chart/Chart.yaml", "apiVersion: v2\nname: levelled\nversion: 1.0.0\n")
    field.write("profiles/chart/templates/a.yaml", CHART)
    services = [service("web"), service("headless", clusterIP="None"), service("leaves")]
    name = written(field, [*services, config_map("note", text="one")], helm={"chart": {"path": "chart"}})
    field.push("Services")
    field.start()
    field.wait(name, seconds=SECONDS)
    inside = field.inside(name)

    def address() -> str:
        copy = field.admin.get("v1", "Service", f"web-x-{name}-web-x-{name}", f"vcluster-{name}") or {}
        return str(copy.get("spec", {}).get("clusterIP", ""))

    def live(kind: str, of: str, namespace: str = "") -> dict[str, Any]:
        return dict(inside.get("v1", kind, of, namespace) or {"metadata": {}})

    def settled() -> bool:
        found = live("Service", "web", f"{name}-web")
        ours = {one["manager"] for one in found["metadata"].get("managedFields", ())} == {"nidus", "vcluster"}
        return bool(address()) and found.get("spec", {}).get("clusterIP") == address() and ours

    field.until("the Service has its host's address, and is ours", settled)
    field.until(
        "the engine gave its level",
        lambda: live("Namespace", "levelled")["metadata"]["labels"].get(LEVEL) == "baseline",
    )
    field.wait(name)
    before = [live("Service", "web", f"{name}-web"), live("Namespace", "levelled")]

    written(field, [*services[:2], config_map("note", text="two")], helm={"chart": {"path": "chart"}})
    field.wait_applied(name, field.push("a Service leaves"))
    field.wait(name)
    assert not live("Service", "leaves", f"{name}-web")["metadata"]
    assert [live("Service", "web", f"{name}-web"), live("Namespace", "levelled")] == before


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "${{ cluster.name }}-web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **spec},
    }


def web(replicas: int) -> dict[str, Any]:
    """A Deployment that every pod security level lets in."""
    container = {
        "name": "web",
        "image": "registry.example.com/web:1.0.0",
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "${{ cluster.name }}-web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


def text(inside: Client, cluster: str, name: str) -> str | None:
    found = inside.get("v1", "ConfigMap", name, f"{cluster}-web")
    return str(found["data"]["text"]) if found else None


def available(inside: Client, cluster: str) -> int:
    found = inside.get("apps/v1", "Deployment", "web", f"{cluster}-web") or {}
    return int(found.get("status", {}).get("availableReplicas", 0))


def pods_of(field: Field, cluster: str) -> list[str]:
    """The tenant's pods as the engine put them on the host."""
    listed = field.admin.list("v1", "Pod", f"vcluster-{cluster}", labels=f"{MANAGED_BY}={cluster}")["items"]
    return [one["metadata"]["name"] for one in listed if one["metadata"]["name"].startswith("web-")]
