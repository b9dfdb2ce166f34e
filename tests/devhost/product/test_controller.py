"""The controller on a real node: it runs as it is shipped, and hands over when its pod is killed, evicted or replaced."""

from __future__ import annotations

from typing import Any

import pytest

from devhost.api import ApiError, path_of
from devhost.hosting import TestHost
from devhost.node import place
from tests.devhost import real_node
from tests.devhost.product.installation import (
    REPLICAS,
    SYSTEM,
    engine,
    leader,
    pods,
    ready,
    said,
    settled,
    words,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group(real_node.GROUP)]

WHO = """
import os
print((os.getuid(), os.getgid()))
for path in ("/opt/nidus/x", "/tmp/x", "/var/lib/nidus/x"):
    try:
        print(open(path, "w") and "written")
    except OSError as error:
        print(error.strerror)
"""
TOO_MANY = 429


def test_two_replicas_run_as_they_are_shipped_and_one_leads(product: TestHost) -> None:
    settled(product)
    for name, pod in pods(product).items():
        assert pod["spec"]["nodeName"] == place.NODE
        [status] = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 0 and status["started"]
        assert said(product, name, WHO) == ["(65532, 65532)", "Read-only file system", "written", "written"]


def test_the_other_takes_over_when_the_leader_is_killed_and_changes_nothing(product: TestHost) -> None:
    settled(product)
    before, first = engine(product), leader(product)
    [second] = pods(product).keys() - {first}
    product.client.delete("v1", "Pod", first, SYSTEM, grace=0)
    eventually(lambda: leader(product) == second, 120)
    settled(product)
    assert engine(product) == before


def test_a_drain_takes_one_pod_at_a_time_and_the_other_leads_meanwhile(product: TestHost) -> None:
    settled(product)
    before, first = engine(product), leader(product)
    [second] = pods(product).keys() - {first}
    eventually(lambda: evicted(product, first))
    assert not evicted(product, second)
    eventually(lambda: leader(product) == second, 120)
    eventually(lambda: len(pods(product)) == REPLICAS)
    [third] = pods(product).keys() - {second}
    eventually(lambda: evicted(product, second), 240)
    assert third in ready(product)
    settled(product)
    assert engine(product) == before


def evicted(hosted: TestHost, pod: str) -> bool:
    """Whether the pod goes as a drain asks it to; not while the disruption budget keeps it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": SYSTEM}}
    try:
        hosted.client.request("POST", path_of("v1", "Pod", SYSTEM, pod, "eviction"), body)
    except ApiError as error:
        assert error.status == TOO_MANY and "disruption budget" in str(error)
        return False
    return True


def test_an_image_that_cannot_start_replaces_nobody(product: TestHost) -> None:
    settled(product)
    before, leads, old = engine(product), leader(product), set(pods(product))
    shipped = image_of(product)
    change(product, {"containers": [{"name": "nidus", "image": "nidus.local/missing:1"}]})
    eventually(lambda: stuck(product), 120)
    assert ready(product) == old and leader(product) == leads
    change(product, {"containers": [{"name": "nidus", "image": shipped}]})
    eventually(lambda: set(pods(product)) == old, 120)
    assert words(product)["tenant"] == "Ready" and engine(product) == before


def test_a_rolling_update_replaces_both_and_changes_nothing(product: TestHost) -> None:
    settled(product)
    before, old = engine(product), set(pods(product))
    change(product, {"containers": [{"name": "nidus", "env": [{"name": "RELEASE", "value": "2"}]}]})
    eventually(lambda: rolled(product), 240)
    assert old.isdisjoint(pods(product))
    settled(product)
    assert engine(product) == before


def rolled(hosted: TestHost) -> bool:
    """Whether the update is over; at no time are fewer replicas available than before it."""
    found = hosted.client.get("apps/v1", "Deployment", "nidus", SYSTEM) or {}
    status: dict[str, Any] = found["status"]
    assert status.get("availableReplicas", 0) >= REPLICAS
    seen = status["observedGeneration"] == found["metadata"]["generation"]
    return bool(seen and status.get("updatedReplicas") == status["replicas"] == REPLICAS)


def change(hosted: TestHost, spec: dict[str, Any]) -> None:
    """Change the pods of the Deployment, as `kubectl patch` does."""
    body = {"spec": {"template": {"spec": spec}}}
    hosted.client.patch("apps/v1", "Deployment", "nidus", SYSTEM, body, form="strategic")


def image_of(hosted: TestHost) -> str:
    """The image that the Deployment asks for."""
    found = hosted.client.get("apps/v1", "Deployment", "nidus", SYSTEM) or {}
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def stuck(hosted: TestHost) -> bool:
    """Whether a new pod waits for an image that is nowhere."""
    statuses = [one for pod in pods(hosted).values() for one in pod["status"].get("containerStatuses", ())]
    return any("Image" in one["state"].get("waiting", {}).get("reason", "") for one in statuses)
