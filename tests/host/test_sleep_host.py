"""A cluster that sleeps on a real host: what goes and how fast, what stays, what a restart and a push change, and waking (O1-O5)."""

import statistics
import time
from typing import Any

import pytest

from devhost.api import Client
from tests.host.field import Field
from tests.host.promises import nidus, standing, write_cluster, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]
MARK = "vcluster.loft.sh/managed-by"


def test_a_cluster_sleeps_and_wakes(shared_field: Field) -> None:
    field = shared_field
    name, inside = standing(field, "kept")
    home = f"vcluster-{name}"
    inside.create(workload(f"{name}-web"))
    field.until("the tenant's pods run on the host", lambda: len(tenants(field.admin, home, name)) > 1)
    stays, since = uids(field.admin, home), time.monotonic()

    nidus(field, "sleep", name, "--reason", "nobody works")
    field.until("no pod of the engine and none of its tenant", lambda: pods(field.admin, home) == [])
    asleep = time.monotonic() - since
    field.wait(name, "Asleep")
    assert uids(field.admin, home) == stays
    told = field.status(name)
    assert (told["sleep"]["by"], told["sleep"]["asleep"]) == ("request", True)
    conditions = {one["type"]: (one["status"], one["reason"]) for one in told["conditions"]}
    assert (conditions["Ready"], conditions["Stalled"][0]) == (("False", "Asleep"), "False")

    field.quiet()
    field.account.audit.now()
    written = len(field.writes())
    nidus(field, "sync")
    field.quiet()
    assert [one["objectRef"]["resource"] for one in field.writes()[written:] if home in str(one["objectRef"])] == []

    assert field.controller is not None
    field.controller.kill()
    field.start()
    field.quiet()
    assert (field.word(name), pods(field.admin, home)) == ("Asleep", [])

    write_maps(field, "kept", "new")
    write_cluster(field)
    commit = field.push("a push while it sleeps")
    field.wait_read(commit)
    field.quiet()
    assert (field.word(name), pods(field.admin, home)) == ("Asleep", [])
    waiting = {one["message"] for one in field.status(name)["layers"] if one["name"].startswith("web/")}
    assert waiting == {"after it wakes"}

    since = time.monotonic()
    nidus(field, "wake", name)
    field.wait_applied(name, commit, seconds=120)
    woke = time.monotonic() - since
    field.until("every pod is there again", lambda: len(tenants(field.admin, home, name)) > 1)
    assert field.inside(name).get("v1", "ConfigMap", "new", f"{name}-web") is not None
    assert uids(field.admin, home) == stays
    live = field.admin.get("apps/v1", "StatefulSet", name, home)
    assert live is not None
    assert not [key for key in live["metadata"].get("annotations", {}) if key.startswith("loft.sh/")]
    took = [woke, *(slept_and_woken(field, name) for _ in range(4))]
    print(f"asleep after {asleep:.1f} s, Ready {statistics.median(took):.1f} s after waking (p50 of {len(took)})")


def slept_and_woken(field: Field, name: str) -> float:
    """Seconds from the request to wake until Ready."""
    nidus(field, "sleep", name)
    field.wait(name, "Asleep")
    since = time.monotonic()
    nidus(field, "wake", name)
    field.wait(name, seconds=120)
    return time.monotonic() - since


def workload(namespace: str) -> dict[str, Any]:
    """Two pods of a tenant."""
    labels = {"app": "web"}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": spec,
    }


def pods(host: Client, namespace: str) -> list[str]:
    return sorted(one["metadata"]["name"] for one in host.list("v1", "Pod", namespace)["items"])


def tenants(host: Client, namespace: str, cluster: str) -> list[str]:
    """The tenant's pods on the host that are not going."""
    items = host.list("v1", "Pod", namespace)["items"]
    return [
        one["metadata"]["name"]
        for one in items
        if one["metadata"].get("labels", {}).get(MARK) == cluster and "deletionTimestamp" not in one["metadata"]
    ]


def uids(host: Client, namespace: str) -> dict[tuple[str, str], str]:
    """The claims, Services, Secrets and quotas there, with their UIDs."""
    kinds = ("PersistentVolumeClaim", "Service", "ResourceQuota", "Secret")
    found = [(kind, one) for kind in kinds for one in host.list("v1", kind, namespace)["items"]]
    return {(kind, one["metadata"]["name"]): one["metadata"]["uid"] for kind, one in found}
