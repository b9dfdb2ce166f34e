"""Nested control planes, a plane of its own behind each engine: what the product and tenants see of them."""

import base64
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import control
from devhost.api import Access, ApiError, Client
from devhost.hosting import TestHost
from tests.devhost.forwarding import Forward
from tests.devhost.releases import install, kubeconfig_secret, statefulset_ready, until

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("nested")]
LEVEL = "pod-security.kubernetes.io/enforce"
NAME, NAMESPACE = "plane-a", "vcluster-plane-a"
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}


@pytest.fixture(scope="module")
def plane(host: TestHost) -> str:
    """A nested cluster that runs; its namespace. It ends with its host."""
    began = time.monotonic()
    namespace = install(host.client, NAME, {"policies": {"podSecurityStandard": "baseline"}})
    statefulset_ready(host.client, NAME, namespace)
    print(f"nested plane ready after {time.monotonic() - began:.1f} s")
    return namespace


@pytest.fixture
def inside(host: TestHost, plane: str, tmp_path: Path) -> Iterator[Client]:
    """The nested cluster's administrator, by its Secret and straight to its port."""
    with inside_client(host, NAME, plane, tmp_path) as client:
        yield client


def inside_client(host: TestHost, name: str, namespace: str, folder: Path) -> Client:
    """A client by the kubeconfig Secret, at the address the plane listens on."""
    forward = host.client.get("kwok.x-k8s.io/v1alpha1", "ClusterPortForward", f"{namespace}.{name}-0")
    assert forward is not None
    port = forward["spec"]["forwards"][0]["target"]["port"]
    files = kubeconfig_secret(host.client, name, namespace, folder)
    own = (files["certificate-authority"], files["client-certificate"], files["client-key"])
    return Client(Access(f"https://127.0.0.1:{port}", *own, tls_name=f"{name}.{namespace}"))


def test_secret_and_marks_follow_the_contract(host: TestHost, plane: str) -> None:
    secret = host.client.get("v1", "Secret", f"vc-{NAME}", plane)
    service = host.client.get("v1", "Service", NAME, plane)
    assert secret is not None and service is not None
    assert set(secret["data"]) == {"config", "certificate-authority", "client-certificate", "client-key", "token"}
    assert secret["metadata"]["labels"] == {"app": "vcluster", "vcluster-name": NAME}
    owners = secret["metadata"]["ownerReferences"]
    assert [(one["kind"], one["uid"]) for one in owners] == [("Service", service["metadata"]["uid"])]
    assert "vcluster.loft.sh/service-cidr" in service["metadata"]["annotations"]
    config = host.client.get("v1", "Secret", f"vc-config-{NAME}", plane)
    assert config is not None and config["metadata"]["annotations"]["vcluster.loft.sh/store"] == "embedded-database"


def test_version_is_the_one_that_runs(host: TestHost, inside: Client) -> None:
    assert inside.request("GET", "/version")["gitVersion"] == f"v{host.host.kubernetes}"


def test_deployment_and_service_inside_live_on_the_host(host: TestHost, plane: str, inside: Client) -> None:
    inside.apply(DEPLOYMENT)
    inside.apply(SERVICE)
    until("the Deployment is ready", lambda: deployment(inside).get("readyReplicas") == 2)
    service = host.client.get("v1", "Service", NAME, plane)
    assert service is not None
    labels = f"vcluster.loft.sh/managed-by={NAME},vcluster.loft.sh/namespace=default"
    pods = host.client.list("v1", "Pod", plane, labels=labels)["items"]
    services = host.client.list("v1", "Service", plane, labels=labels)["items"]
    assert len(pods) == 2 and [one["metadata"]["name"] for one in services] == [f"web-x-default-x-{NAME}"]
    for one in pods + services:
        assert one["metadata"]["name"].endswith(f"-x-default-x-{NAME}")
        assert one["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]
        assert one["metadata"]["annotations"]["vcluster.loft.sh/object-namespace"] == "default"
    assert inside.list("v1", "Node")["items"]
    inside.delete("apps/v1", "Deployment", "web", "default")
    inside.delete("v1", "Service", "web", "default")
    until("nothing of it on the host", lambda: not host.client.list("v1", "Pod", plane, labels=labels)["items"])
    until("no Service on the host", lambda: not host.client.list("v1", "Service", plane, labels=labels)["items"])


def test_a_service_inside_gets_the_address_of_its_copy_by_being_made_anew(
    host: TestHost, plane: str, inside: Client
) -> None:
    """As the official engine does (tests/host/test_real_engine.py): labels and annotations stay, the UID does not, the copy does."""
    name, marks = "anew", {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    first = inside.apply({**SERVICE, "metadata": {"name": name, "namespace": "default", **marks}})

    def copy() -> dict[str, Any]:
        return dict(host.client.get("v1", "Service", f"{name}-x-default-x-{NAME}", plane) or {})

    def found() -> dict[str, Any]:
        return dict(inside.get("v1", "Service", name, "default") or {"spec": {}})

    until("it has the address", lambda: copy() and found()["spec"].get("clusterIP") == copy()["spec"]["clusterIP"])
    anew, there = found()["metadata"], copy()["metadata"]["uid"]
    assert anew["uid"] != first["metadata"]["uid"] and {one["manager"] for one in anew["managedFields"]} == {"vcluster"}
    assert {key: anew[key] for key in marks} == marks
    inside.patch("v1", "Service", name, "default", {"metadata": {"labels": {"a": "e"}}})
    until("the copy follows", lambda: copy()["metadata"]["labels"].get("a") == "e")
    assert (copy()["metadata"]["uid"], found()["metadata"]["uid"]) == (there, anew["uid"])
    inside.delete("v1", "Service", name, "default")
    until("no copy", lambda: not copy())


def test_coredns_becomes_ready(inside: Client) -> None:
    until("CoreDNS", lambda: deployment(inside, "coredns", "kube-system").get("readyReplicas") == 1)
    service = inside.get("v1", "Service", "kube-dns", "kube-system")
    assert service is not None and service["metadata"]["labels"]["k8s-app"] == "vcluster-kube-dns"


def test_namespaces_inside_carry_the_pod_security_label(inside: Client) -> None:
    inside.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded"}})

    def level() -> Any:
        found = inside.get("v1", "Namespace", "guarded") or {"metadata": {}}
        return found["metadata"].get("labels", {}).get(LEVEL)

    until("the label", lambda: level() == "baseline")
    inside.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded", "labels": {LEVEL: "privileged"}}}
    )
    until("the label is put back", lambda: level() == "baseline")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": "guarded"}}
    spec = {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]}
    with pytest.raises(ApiError, match="PodSecurity"):
        inside.create(pod | {"spec": spec})


def test_port_forward_from_python_is_verified_by_name(host: TestHost, plane: str, tmp_path: Path) -> None:
    files = kubeconfig_secret(host.client, NAME, plane, tmp_path)
    context = ssl.create_default_context(cafile=str(files["certificate-authority"]))
    context.load_cert_chain(files["client-certificate"], files["client-key"])
    name = f"{NAME}.{plane}"
    with Forward(host.client, plane, f"{NAME}-0", 8443, context, name) as tunnel:
        assert tunnel.get("/readyz", name).endswith("\r\n\r\nok")
    with pytest.raises(ssl.SSLCertVerificationError):
        Forward(host.client, plane, f"{NAME}-0", 8443, context, f"other.{plane}")


def test_port_forward_from_kubectl(host: TestHost, plane: str, tmp_path: Path) -> None:
    secret = host.client.get("v1", "Secret", f"vc-{NAME}", plane)
    assert secret is not None
    config = tmp_path / "inside.kubeconfig"
    config.write_bytes(base64.b64decode(secret["data"]["config"]))
    forward = subprocess.Popen(
        [host.kubectl, f"--kubeconfig={host.kubeconfig}", "-n", plane, "port-forward", f"pod/{NAME}-0", ":8443"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert forward.stdout is not None
        port = re.findall(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())[0]
        asked = [host.kubectl, f"--kubeconfig={config}", f"--server=https://localhost:{port}"]
        asked += [f"--tls-server-name={NAME}.{plane}", "get", "--raw", "/readyz"]
        assert subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout == "ok"
    finally:
        forward.kill()
        forward.communicate()


def test_quota_of_the_host_holds_back_pods_inside(host: TestHost, plane: str, inside: Client) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": plane}}
    host.client.apply(quota | {"spec": {"hard": {"pods": "2"}}})
    until("the quota counts", lambda: (host.client.get(*QUOTA, plane) or {}).get("status", {}).get("used"))
    inside.apply(DEPLOYMENT)
    until("a refusal is shown", lambda: any(one["reason"] == "SyncError" for one in events(inside)))
    assert deployment(inside).get("readyReplicas", 0) == 0
    host.client.delete(*QUOTA, plane)
    until("the Deployment is ready", lambda: deployment(inside).get("readyReplicas") == 2)
    inside.delete("apps/v1", "Deployment", "web", "default")


@pytest.mark.long
def test_sleep_keeps_the_data_and_a_lost_claim_ends_it(host: TestHost, tmp_path: Path) -> None:
    namespace = install(host.client, "plane-b")
    statefulset_ready(host.client, "plane-b", namespace)
    with inside_client(host, "plane-b", namespace, tmp_path) as inside:
        inside.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}})
    authority = (tmp_path / "certificate-authority").read_bytes()
    scale(host.client, "plane-b", namespace, 0)
    until("the plane's processes ended", lambda: not programs(host, namespace))
    scale(host.client, "plane-b", namespace, 1)
    statefulset_ready(host.client, "plane-b", namespace)
    with inside_client(host, "plane-b", namespace, tmp_path) as inside:
        assert inside.get("v1", "ConfigMap", "kept", "default") is not None
    assert (tmp_path / "certificate-authority").read_bytes() == authority

    scale(host.client, "plane-b", namespace, 0)
    until("the plane's processes ended", lambda: not programs(host, namespace))
    claim = host.client.get("v1", "PersistentVolumeClaim", "data-plane-b-0", namespace)
    assert claim is not None
    data = host.folder / "nested" / "storage" / claim["metadata"]["uid"]
    assert data.exists()
    host.client.delete("v1", "PersistentVolumeClaim", "data-plane-b-0", namespace)
    until("the data is gone", lambda: not data.exists())
    scale(host.client, "plane-b", namespace, 1)
    statefulset_ready(host.client, "plane-b", namespace)
    with inside_client(host, "plane-b", namespace, tmp_path) as inside:
        assert inside.get("v1", "ConfigMap", "kept", "default") is None
    host.client.delete("v1", "Namespace", namespace)
    until("the plane's processes ended", lambda: not programs(host, namespace))


def test_engine_with_a_deployed_etcd_keeps_its_data_on_its_claim(host: TestHost) -> None:
    store = {"etcd": {"deploy": {"enabled": True}}}
    namespace = install(host.client, "plane-c", {"controlPlane": {"backingStore": store}})

    def available() -> bool:
        found = host.client.get("apps/v1", "Deployment", "plane-c", namespace) or {}
        return bool(found.get("status", {}).get("readyReplicas") == 1)

    until("the engine's Deployment is ready", available)
    claim = host.client.get("v1", "PersistentVolumeClaim", "data-plane-c-etcd-0", namespace)
    assert claim is not None and (host.folder / "nested" / "storage" / claim["metadata"]["uid"]).exists()
    host.client.delete("v1", "Namespace", namespace)


def test_an_engine_whose_process_died_is_started_again(host: TestHost, plane: str, tmp_path: Path) -> None:
    name = f"nested/{plane}/{NAME}/kube-apiserver"
    until("the plane runs", lambda: name in control.call(host.folder, {"verb": "list"})["names"])
    control.call(host.folder, {"verb": "signal", "name": name, "signal": 9})

    def restarted() -> bool:
        pod = host.client.get("v1", "Pod", f"{NAME}-0", plane)
        status = pod["status"]["containerStatuses"][0] if pod else {}
        return status.get("ready") is True and status.get("restartCount", 0) >= 1

    until("the engine's container started again", restarted)
    with inside_client(host, NAME, plane, tmp_path) as inside:
        assert inside.ready()


QUOTA = ("v1", "ResourceQuota", "few")


def deployment(client: Client, name: str = "web", namespace: str = "default") -> dict[str, Any]:
    found = client.get("apps/v1", "Deployment", name, namespace) or {}
    status: dict[str, Any] = found.get("status", {})
    return status


def events(client: Client) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.list("v1", "Event", "default")["items"]
    return items


def scale(client: Client, name: str, namespace: str, replicas: int) -> None:
    client.patch("apps/v1", "StatefulSet", name, namespace, {"spec": {"replicas": replicas}})


def programs(host: TestHost, namespace: str) -> list[str]:
    names = control.call(host.folder, {"verb": "list"})["names"]
    return [name for name in names if name.startswith(f"nested/{namespace}/")]
