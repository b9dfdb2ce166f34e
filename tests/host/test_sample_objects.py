"""A real API server takes every object of the sample repository, and its front ends become available."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from devhost.api import ApiError
from devhost.hosting import TestHost
from reconciler.packs.render import Renderer
from tests.house.test_sample_repo import CLUSTERS, bundle, objects

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("spare_host")]

CLUSTER_SCOPED = ("Namespace", "CustomResourceDefinition")


def test_every_object_is_accepted(spare_host: TestHost) -> None:
    client = spare_host.client
    renderer = Renderer(1)
    try:
        for name in CLUSTERS:
            for layer in bundle(name).layers:
                for found in objects(renderer, layer):
                    apply_when_served(client, placed(found, layer.namespace))
    finally:
        renderer.close()
    wait_until(lambda: available(client.get("apps/v1", "Deployment", "web", "web")))


def placed(found: dict[str, Any], namespace: str) -> dict[str, Any]:
    if found["kind"] in CLUSTER_SCOPED or "namespace" in found["metadata"]:
        return found
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


def apply_when_served(client: Any, found: dict[str, Any]) -> None:
    """Applies; a kind whose definition is new takes a moment to be served."""

    def applied() -> bool:
        try:
            client.apply(found)
        except ApiError as error:
            if found["apiVersion"].startswith("catalog.") and error.status == 404:
                return False
            raise
        return True

    wait_until(applied)


def available(deployment: dict[str, Any] | None) -> bool:
    conditions = (deployment or {}).get("status", {}).get("conditions", [])
    return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
