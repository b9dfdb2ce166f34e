"""Nested clusters whose pods run on the real node: quota, crash loop, sleep, and the way to a pod through its kubelet."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from devhost.api import Client
from devhost.hosting import TestHost
from devhost.nested.kubelet import is_ready
from reconciler.kube import edge, portforward
from reconciler.model import HostConfig
from tests.devhost import real_node
from tests.devhost.product.installation import (
    INTERNAL,
    SYSTEM,
    TENANT,
    leader,
    nidus,
    settled,
    small,
    tenants,
    words,
)
from tests.host.field import inside
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group(real_node.GROUP)]

SECONDS = 120.0


def log(hosted: TestHost, namespace: str, pod: str) -> str:
    """The log of a pod, which its kubelet has."""
    return str(hosted.client.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log")["text"])


def test_pods_of_a_nested_cluster_run_on_the_node(product: TestHost) -> None:
    settled(product)
    [pod] = tenants(product)
    eventually(
        lambda: log(product, TENANT, pod["metadata"]["name"]) == "hello from inside\n", SECONDS
    )  # its runtime writes it a moment later


def test_a_crash_loop_is_explained_down_to_the_pod(product: TestHost) -> None:
    eventually(lambda: "ended with exit code 3" in nidus(product, "why", "broken"), SECONDS)
    told = nidus(product, "why", "broken").splitlines()
    layer = next(line for line in told if line.startswith("  blocked"))
    assert "layer broken/shop on local/broken" in layer
    pod = next(line for line in told if line.startswith("        Pod shop/ledger-"))
    assert "image nidus.local/base:1: ended with exit code 3" in pod
    [runs] = tenants(product, "broken")
    eventually(lambda: "cannot be opened" in log(product, "vcluster-broken", runs["metadata"]["name"]), SECONDS)
    assert words(product)["tenant"] == "Ready"


def test_the_quota_keeps_a_pod_too_many_off_the_node(product: TestHost, tmp_path: Path) -> None:
    settled(product)
    before = names(product)
    guard = product.client.get("v1", "ResourceQuota", "nidus", TENANT) or {}
    room, more = int(guard["spec"]["hard"]["pods"]), [f"more-{number}" for number in range(3)]
    with inside(product, "tenant", tmp_path) as client:
        for name in more:
            meta = {"name": name, "namespace": "shop"}
            client.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": small("sleep infinity")})
        eventually(lambda: "exceeded quota" in warnings(client), SECONDS)
        eventually(lambda: len(running(product)) == room, SECONDS)
        assert before < names(product)
        for name in more:
            client.delete("v1", "Pod", name, "shop", grace=0)
    eventually(lambda: names(product) == before, SECONDS)
    assert words(product)["tenant"] == "Ready"


def names(hosted: TestHost) -> set[str]:
    """The names of the tenant's pods on the node."""
    return {one["metadata"]["name"] for one in tenants(hosted)}


def running(hosted: TestHost) -> list[str]:
    """The pods of the cluster that run, its engine's too."""
    found = hosted.client.list("v1", "Pod", TENANT)["items"]
    return [one["metadata"]["name"] for one in found if one["status"].get("phase") == "Running"]


def warnings(client: Client) -> str:
    """What a tenant is told about pods in namespace shop."""
    about = client.list("v1", "Event", "shop", fields="involvedObject.kind=Pod,type=Warning")["items"]
    return "\n".join(str(one["message"]) for one in about)


def test_pods_that_sleep_are_off_the_node_and_run_again_when_woken(product: TestHost) -> None:
    settled(product)
    before = names(product)
    nidus(product, "sleep", "tenant", "--reason", "nobody works")
    eventually(lambda: words(product).get("tenant") == "Asleep", SECONDS)
    assert product.client.list("v1", "Pod", TENANT)["items"] == []
    nidus(product, "wake", "tenant")
    eventually(lambda: words(product).get("tenant") == "Ready", SECONDS)
    eventually(lambda: [is_ready(one) for one in tenants(product)] == [True], SECONDS)
    [pod] = tenants(product)
    assert pod["metadata"]["name"] not in before
    eventually(
        lambda: log(product, TENANT, pod["metadata"]["name"]) == "hello from inside\n", SECONDS
    )  # its runtime writes it a moment later


def test_a_port_of_a_pod_is_reached_through_its_kubelet(product: TestHost) -> None:
    settled(product)
    client = edge.host(HostConfig(kubeconfig=str(product.kubeconfig)))
    try:
        line = portforward.connect(client, SYSTEM, leader(product), INTERNAL)
        assert b" 200 " in said_by(line, b"GET /healthz HTTP/1.0\r\n\r\n").partition(b"\r\n")[0]
        with portforward.connect(client, SYSTEM, leader(product), 1) as nobody:
            nobody.settimeout(SECONDS)
            assert nobody.recv(1) == b""
    finally:
        client.close()


def said_by(line: socket.socket, request: bytes) -> bytes:
    """What comes back before the other end closes."""
    with line:
        line.settimeout(SECONDS)
        line.sendall(request)
        return b"".join(iter(lambda: line.recv(65536), b""))
