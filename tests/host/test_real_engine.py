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


def written(field: Field, objects: list[dict[str, Any]]) -> str:
    """Write a profile of a namespace and `objects`, and one cluster that uses it; returns the cluster's name."""
    packs = [{"name": "web", "manifests": {"objects": [namespace(), *objects]}}]
    field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
    name = field.cluster()
    field.write("clusters/a.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    return name


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
