"""Volumes and addresses, which a bare control plane lacks."""

from typing import Any

import pytest

from devhost.actors.addresses import RANGES, free_address
from devhost.errors import HostError
from devhost.hosting import TestHost
from tests.devhost.releases import until

on_host = pytest.mark.host
CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "volumes"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
BALANCER: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "front", "namespace": "balanced"},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 443}]},
}


@on_host
def test_claim_is_bound_grows_and_goes_with_its_volume(empty_host: TestHost) -> None:
    client = empty_host.client
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "volumes"}})
    client.apply(CLAIM)

    def claim() -> dict[str, Any]:
        return client.get("v1", "PersistentVolumeClaim", "data", "volumes") or {}

    until("the claim is bound", lambda: claim().get("status", {}).get("phase") == "Bound")
    volume = claim()["spec"]["volumeName"]
    assert claim()["spec"]["storageClassName"] == "standard"
    client.patch(
        "v1", "PersistentVolumeClaim", "data", "volumes", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    )
    until("the volume grew", lambda: claim()["status"]["capacity"]["storage"] == "2Gi")
    client.delete("v1", "PersistentVolumeClaim", "data", "volumes")
    until("the volume is gone", lambda: client.get("v1", "PersistentVolume", volume) is None)
    client.delete("v1", "Namespace", "volumes")


@on_host
def test_load_balancers_get_addresses_of_their_own(empty_host: TestHost) -> None:
    client = empty_host.client
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "balanced"}})
    for name in ("front", "back"):
        client.apply(BALANCER | {"metadata": {"name": name, "namespace": "balanced"}})

    def addresses() -> list[str]:
        services = client.list("v1", "Service", "balanced")["items"]
        return [one["ip"] for item in services for one in item["status"]["loadBalancer"].get("ingress") or ()]

    until("both have an address", lambda: len(addresses()) == 2)
    assert len(set(addresses())) == 2 and all(address.startswith("192.0.2.") for address in addresses())
    client.patch("v1", "Service", "front", "balanced", {"spec": {"type": "ClusterIP"}})
    until("one is given back", lambda: len(addresses()) == 1)
    client.delete("v1", "Namespace", "balanced")


def test_addresses_run_out_with_a_sentence() -> None:
    everything = [str(address) for network in RANGES for address in network.hosts()]
    assert free_address(everything[1:]) == everything[0]
    with pytest.raises(HostError, match="more LoadBalancer Services"):
        free_address(everything)
