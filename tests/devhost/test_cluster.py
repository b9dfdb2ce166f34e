"""The host is a real cluster: what the product relies on behaves as in production."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devhost import layout
from devhost.state import Host
from tests.devhost.conftest import Kubectl
from tests.devhost.traces import until

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]


def config_map(name: str, **metadata: object) -> str:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "1"}}
    return json.dumps(body)


def test_server_side_apply_then_wait(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("settings"))
    kubectl("wait", "-n", namespace, "configmap/settings", "--for=jsonpath={.data.a}=1", "--timeout=60s")
    shown = kubectl("get", "configmap/settings", "-n", namespace, "-o", "json", "--show-managed-fields").stdout
    assert [entry["operation"] for entry in json.loads(shown)["metadata"]["managedFields"]] == ["Apply"]


def test_deployment_rolls_out(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=3", "-n", namespace)
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    kubectl("set", "image", "deployment/web", "web=web:2", "-n", namespace)
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")


def test_stateful_set_and_job(kubectl: Kubectl, namespace: str) -> None:
    labels = {"app": "db"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "db", "image": "db"}]}}
    spec = {"serviceName": "db", "replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=json.dumps(body))
    kubectl("create", "job", "once", "--image=once", "-n", namespace)
    kubectl("rollout", "status", "statefulset/db", "-n", namespace, "--timeout=30s")
    kubectl("wait", "job/once", "--for=condition=Complete", "-n", namespace, "--timeout=30s")


def test_namespace_with_content_is_deleted(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "deployment", "web", "--image=web", "--replicas=2", "-n", namespace)
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("settings"))
    kubectl("delete", "namespace", namespace, "--timeout=40s")
    gone = kubectl("get", "pods,configmaps,deployments", "-n", namespace, "-o", "name")
    assert gone.stdout == ""


def test_quota_refuses(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "quota", "small", "--hard=configmaps=2", "-n", namespace)
    kubectl("wait", "quota/small", "--for=jsonpath={.status.hard.configmaps}=2", "-n", namespace, "--timeout=60s")
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("one"))
    refused = kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("two"), fails=True)
    assert "exceeded quota: small" in refused.stderr


def test_owned_objects_are_collected(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("owner"))
    uid = json.loads(kubectl("get", "configmap/owner", "-n", namespace, "-o", "json").stdout)["metadata"]["uid"]
    owner = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=config_map("owned", ownerReferences=owner))
    kubectl("delete", "configmap/owner", "-n", namespace)
    kubectl("wait", "configmap/owned", "--for=delete", "-n", namespace, "--timeout=30s")


def test_restricted_namespace_refuses_a_privileged_pod(kubectl: Kubectl, namespace: str) -> None:
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    container = {"name": "c", "image": "c", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    refused = kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=json.dumps(pod), fails=True)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_validating_admission_policy_refuses(kubectl: Kubectl, namespace: str) -> None:
    match = {"resourceRules": [_rule("configmaps")], "namespaceSelector": {"matchLabels": _named(namespace)}}
    rule = {"expression": "object.metadata.name != 'forbidden'", "message": "that name is taken"}
    spec = {"matchConstraints": match, "validations": [rule]}
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    for kind, body in (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", binding)):
        head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": namespace}}
        kubectl("apply", "--server-side", "-f", "-", input=json.dumps({**head, "spec": body}))

    def refused() -> bool:
        body = config_map("forbidden")
        done = kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", input=body, fails=False)
        return "that name is taken" in done.stderr

    def tried() -> bool:
        try:
            return refused()
        except AssertionError as error:
            return "that name is taken" in str(error)

    try:
        assert until(tried, 60)
    finally:
        kubectl("delete", f"validatingadmissionpolicy/{namespace}", f"validatingadmissionpolicybinding/{namespace}")


def test_token_is_the_administrator_too(kubectl: Kubectl) -> None:
    who = json.loads(kubectl("--context=host-token", "auth", "whoami", "-o", "json").stdout)
    assert who["status"]["userInfo"]["username"] == "nidus-admin"


def test_nodes_take_pods_and_report_versions(kubectl: Kubectl) -> None:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json").stdout)["items"]
    assert len(nodes) == 3
    for node in nodes:
        assert "ephemeral-storage" in node["status"]["allocatable"]
        assert "taints" not in node["spec"]
    version = json.loads(kubectl("version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"] == "v1.36.3"


def test_discovery_is_aggregated(kubectl: Kubectl, bare_host: Host) -> None:
    groups = json.loads(kubectl("get", "--raw", "/apis").stdout)
    assert {"apps", "batch", "admissionregistration.k8s.io"} <= {group["name"] for group in groups["groups"]}
    assert aggregated(bare_host)["kind"] == "APIGroupDiscoveryList"


def aggregated(host: Host) -> dict[str, object]:
    import ssl
    import urllib.request

    context = ssl.create_default_context(cafile=str(host.pki / "ca.crt"))
    context.load_cert_chain(host.pki / "admin.crt", host.pki / "admin.key")
    kinds = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    asked = urllib.request.Request(f"{host.server}/apis", headers={"Accept": kinds})
    with urllib.request.urlopen(asked, context=context, timeout=60) as answer:
        body: dict[str, object] = json.load(answer)
    return body


def test_nothing_is_readable_by_others(bare_host: Host) -> None:
    assert bare_host.folder.stat().st_mode & 0o777 == 0o700
    keys: list[Path] = [*layout.pki(bare_host.folder).iterdir(), bare_host.kubeconfig]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def _rule(resource: str) -> dict[str, list[str]]:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}


def _named(namespace: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": namespace}
