"""One plane shared by many nested clusters, and none at all."""

import ssl
import time
from pathlib import Path

import pytest

from devhost.api import Access, Client
from devhost.hosting import TestHost, fits_shared
from tests.devhost.forwarding import Forward
from tests.devhost.releases import install, kubeconfig_secret, statefulset_ready, until
from tests.devhost.test_nested import DEPLOYMENT, SERVICE

on_shared = [pytest.mark.host, pytest.mark.xdist_group("shared")]
NAMES = [f"fleet-{number}" for number in range(8)]


class TestShared:
    pytestmark = on_shared

    def test_each_answers_under_its_own_name(self, shared_host: TestHost, tmp_path: Path) -> None:
        began = time.monotonic()
        namespaces = {name: install(shared_host.client, name) for name in NAMES}
        for name, namespace in namespaces.items():
            statefulset_ready(shared_host.client, name, namespace)
        print(f"{len(NAMES)} clusters ready after {time.monotonic() - began:.2f} s")
        for name, namespace in namespaces.items():
            files = kubeconfig_secret(shared_host.client, name, namespace, tmp_path)
            context = ssl.create_default_context(cafile=str(files["certificate-authority"]))
            context.load_cert_chain(files["client-certificate"], files["client-key"])
            served = f"{name}.{namespace}"
            with Forward(shared_host.client, namespace, f"{name}-0", 8443, context, served) as tunnel:
                assert tunnel.get("/readyz", served).endswith("ok")

    def test_prefixed_namespaces_are_synced_to_their_cluster(self, shared_host: TestHost, tmp_path: Path) -> None:
        namespace = install(shared_host.client, "syncing")
        statefulset_ready(shared_host.client, "syncing", namespace)
        files = kubeconfig_secret(shared_host.client, "syncing", namespace, tmp_path)
        with inside(shared_host, files) as client:
            client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "syncing-web"}})
            for one in (DEPLOYMENT, SERVICE):
                client.apply(one | {"metadata": {"name": "web", "namespace": "syncing-web"}})
            until("the Deployment is ready", lambda: ready(client) == 2)
        services = shared_host.client.list("v1", "Service", namespace, labels="vcluster.loft.sh/managed-by=syncing")
        assert [one["metadata"]["name"] for one in services["items"]] == ["web-x-syncing-web-x-syncing"]


def inside(host: TestHost, files: dict[str, Path]) -> Client:
    port = int((host.folder / "nested" / "shared.port").read_text())
    own = (files["certificate-authority"], files["client-certificate"], files["client-key"])
    return Client(Access(f"https://127.0.0.1:{port}", *own))


def ready(client: Client) -> int:
    found = client.get("apps/v1", "Deployment", "web", "syncing-web") or {}
    return int(found.get("status", {}).get("readyReplicas", 0))


def test_what_does_not_fit_the_shared_plane_is_named() -> None:
    space = {"kind": "Namespace", "metadata": {"name": "a-web"}}
    inner = {"kind": "Deployment", "metadata": {"name": "web", "namespace": "a-web"}}
    role = {"kind": "ClusterRole", "metadata": {"name": "reader"}}
    stray = {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}}
    assert fits_shared("a", [space, inner]) == []
    assert fits_shared("a", [role, stray]) == [
        "ClusterRole reader is cluster-scoped or names no namespace",
        "Service web: namespace default does not begin with a-",
    ]


@pytest.mark.host
def test_without_planes_engines_become_ready_all_the_same(empty_host: TestHost) -> None:
    namespace = install(empty_host.client, "empty")
    statefulset_ready(empty_host.client, "empty", namespace)
    assert empty_host.client.get("v1", "Secret", "vc-empty", namespace) is None
    empty_host.client.delete("v1", "Namespace", namespace)
