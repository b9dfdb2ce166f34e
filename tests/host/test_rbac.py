"""What the shipped roles allow and refuse, asked of a real API server as the accounts themselves (A9)."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.account import Account
from devhost.api import Access, ApiError, Client
from devhost.hosting import TestHost
from reconciler.spec import schema
from tests import installed
from tests.host.test_admission import account

__all__ = ["account"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
RBAC = "rbac.authorization.k8s.io"
WRITES = ("create", "patch", "delete")
READS = ("get", "list", "watch")
Rule = tuple[str, str, str]

ELSEWHERE_ALLOWED: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "namespaces", READS + WRITES),
    ("", "resourcequotas", READS + WRITES),
    ("", "limitranges", READS + WRITES),
    ("networking.k8s.io", "networkpolicies", READS + WRITES),
    (RBAC, "rolebindings", READS + WRITES),
    ("", "services", READS),
    ("", "serviceaccounts", READS),
    ("", "pods", READS),
    ("", "persistentvolumeclaims", READS),
    ("apps", "statefulsets", READS),
    ("apps", "deployments", READS),
    ("networking.k8s.io", "ingresses", READS),
    ("gateway.networking.k8s.io", "tlsroutes", READS),
    ("gateway.networking.k8s.io", "gateways", ("get",)),
    ("policy", "poddisruptionbudgets", READS),
]
ELSEWHERE_REFUSED: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "secrets", READS + WRITES),
    ("", "configmaps", READS + WRITES),
    ("", "services", WRITES),
    ("", "serviceaccounts", (*WRITES, "impersonate")),
    ("", "serviceaccounts/token", ("create",)),
    ("", "pods", (*WRITES, "deletecollection")),
    ("", "pods/exec", ("create", "get")),
    ("", "pods/portforward", ("create", "get")),
    ("", "persistentvolumeclaims", WRITES),
    ("", "persistentvolumes", READS + WRITES),
    ("", "nodes", READS + WRITES),
    ("", "users", ("impersonate",)),
    ("apps", "statefulsets", WRITES),
    ("apps", "deployments", WRITES),
    ("apps", "daemonsets", WRITES),
    ("batch", "jobs", WRITES),
    ("networking.k8s.io", "ingresses", WRITES),
    ("gateway.networking.k8s.io", "tlsroutes", WRITES),
    ("gateway.networking.k8s.io", "gateways", ("list", "watch", *WRITES)),
    ("coordination.k8s.io", "leases", READS + WRITES),
    (RBAC, "roles", ("create", "patch", "escalate", "bind")),
    (RBAC, "clusterroles", ("create", "patch", "escalate", "bind", "delete")),
    (RBAC, "clusterrolebindings", WRITES),
    ("apiextensions.k8s.io", "customresourcedefinitions", WRITES),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", WRITES),
    ("certificates.k8s.io", "certificatesigningrequests", ("create", "approve")),
    ("nidus.dev", "nestedclusters", WRITES),
    ("", "events", READS),
    ("*", "*", ("*",)),
]
TENANT_ALLOWED: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "secrets", ("get", *WRITES)),
    ("", "services", WRITES),
    ("", "serviceaccounts", WRITES),
    ("", "configmaps", WRITES),
    ("", "persistentvolumeclaims", ("create", "patch", "delete")),
    ("", "pods", ("create", "delete")),
    ("", "pods/portforward", ("create", "get")),
    ("apps", "statefulsets", WRITES),
    ("apps", "deployments", WRITES),
    ("networking.k8s.io", "ingresses", WRITES),
    ("gateway.networking.k8s.io", "tlsroutes", WRITES),
    ("policy", "poddisruptionbudgets", WRITES),
    ("autoscaling", "horizontalpodautoscalers", ("list",)),
]
TENANT_REFUSED: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "secrets", ("list", "watch", "deletecollection")),
    ("", "pods", ("patch", "update")),
    ("", "pods/exec", ("create", "get")),
    ("", "serviceaccounts/token", ("create",)),
    (RBAC, "roles", ("create", "patch", "escalate")),
]


@pytest.fixture
def tenant(empty_host: TestHost, account: Account) -> str:
    """A host namespace the controller made and bound itself in, with nothing but its own rights."""
    name = f"vcluster-{account.name}-{secrets.token_hex(3)}"
    labels = {
        "app.kubernetes.io/managed-by": "nidus",
        "nidus.dev/cluster": "a",
        "pod-security.kubernetes.io/enforce": "baseline",
    }
    account.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    bind(account, name, "nidus-tenant", account.namespace, account.user.rpartition(":")[2])
    wait_until(lambda: may(account.client, name, "", "secrets", "create"))
    return name


def bind(account: Account, namespace: str, role: str, home: str, name: str) -> None:
    account.client.create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
        }
    )


def may(client: Client, namespace: str, group: str, resource: str, verb: str, name: str = "") -> bool:
    kind, _, sub = resource.partition("/")
    asked = {"namespace": namespace, "group": group, "resource": kind, "subresource": sub, "verb": verb, "name": name}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(client.request("POST", path, body)["status"]["allowed"])


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the API server did not take the binding over in time"
        time.sleep(0.02)


def wrong(client: Client, namespace: str, rows: list[tuple[str, str, tuple[str, ...]]], wanted: bool) -> list[Rule]:
    asked = [(group, resource, verb) for group, resource, verbs in rows for verb in verbs]
    return [row for row in asked if may(client, namespace, *row) is not wanted]


def test_the_controller_over_the_whole_host(empty_host: TestHost, account: Account) -> None:
    assert wrong(account.client, "", ELSEWHERE_ALLOWED, True) == []
    assert wrong(account.client, "", ELSEWHERE_REFUSED, False) == []
    assert wrong(account.client, "kube-system", ELSEWHERE_REFUSED, False) == []


def test_the_controller_in_a_tenants_namespace(account: Account, tenant: str) -> None:
    assert wrong(account.client, tenant, TENANT_ALLOWED, True) == []
    assert wrong(account.client, tenant, TENANT_REFUSED, False) == []


def test_the_controller_in_its_own_namespace(empty_host: TestHost, account: Account) -> None:
    own = account.namespace
    every = (*READS, *WRITES, "update")
    allowed = [
        ("", "configmaps", every),
        ("coordination.k8s.io", "leases", every),
        ("", "secrets", ("create",)),
        ("nidus.dev", "nestedclusters", every),
        ("nidus.dev", "nestedclusters/status", ("patch", "update")),
        ("nidus.dev", "sources", every),
        ("nidus.dev", "sources/status", ("patch", "update")),
        ("nidus.dev", "requests", (*READS, "create", "delete")),
        ("events.k8s.io", "events", ("create", "patch")),
    ]
    refused = [("", "secrets", ("get", "list", "watch", "patch", "delete")), ("apps", "deployments", WRITES)]
    refused.append(("nidus.dev", "requests", ("patch", "update")))
    assert wrong(account.client, own, allowed, True) == []
    assert wrong(account.client, own, refused, False) == []
    assert may(account.client, own, "", "secrets", "get", "nidus-salt")
    assert not may(account.client, own, "", "secrets", "get", "nidus-git")


@pytest.mark.parametrize("role", ["cluster-admin", "admin", "edit", "view", "system:node"])
def test_only_two_roles_can_be_handed_out(account: Account, tenant: str, role: str) -> None:
    with pytest.raises(ApiError) as refused:
        bind(account, tenant, role, account.namespace, "nidus")
    assert refused.value.status == 403


def test_the_engine_has_its_namespace_only(account: Account, tenant: str) -> None:
    account.client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vc-a", "namespace": tenant}}
    )
    bind(account, tenant, "nidus-engine", tenant, "vc-a")
    engine = acting(account, f"system:serviceaccount:{tenant}:vc-a")
    every = (*READS, *WRITES, "update")
    allowed = [
        *[
            ("", kind, every)
            for kind in ("configmaps", "secrets", "services", "pods", "persistentvolumeclaims", "endpoints")
        ],
        *[("", sub, ("create", "get")) for sub in ("pods/exec", "pods/attach", "pods/portforward")],
        ("", "pods/status", ("patch", "update")),
        ("discovery.k8s.io", "endpointslices", every),
        ("coordination.k8s.io", "leases", every),
        ("apps", "statefulsets", (*READS, "patch")),
        ("apps", "deployments", (*READS, "patch")),
        ("", "events", READS),
        ("events.k8s.io", "events", READS),
    ]
    wait_until(lambda: may(engine, tenant, "", "secrets", "create"))
    assert wrong(engine, tenant, allowed, True) == []
    refused = [
        ("networking.k8s.io", "ingresses", every),
        ("gateway.networking.k8s.io", "tlsroutes", every),
        ("networking.k8s.io", "networkpolicies", every),
        ("policy", "poddisruptionbudgets", every),
        ("", "serviceaccounts", every),
        ("", "events", WRITES),
        ("events.k8s.io", "events", WRITES),
        ("apps", "deployments", ("create", "delete")),
        (RBAC, "rolebindings", WRITES),
        ("", "resourcequotas", WRITES),
    ]
    assert wrong(engine, tenant, refused, False) == []
    everywhere = [("", kind, READS) for kind in ("secrets", "pods", "nodes", "namespaces")]
    assert wrong(engine, "", everywhere, False) == []
    assert wrong(engine, account.namespace, everywhere, False) == []


def test_operators_add_requests_and_change_nothing(empty_host: TestHost, account: Account) -> None:
    subject = {"apiGroup": RBAC, "kind": "User", "name": "ada"}
    empty_host.client.create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "ada", "namespace": account.namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "nidus-operator"},
            "subjects": [subject],
        }
    )
    ada = acting(account, "ada")
    wait_until(lambda: may(ada, account.namespace, "nidus.dev", "requests", "create"))
    allowed = [
        ("nidus.dev", "requests", (*READS, "create")),
        ("nidus.dev", "nestedclusters", (*READS, "approve", "suspend", "resume")),
        ("nidus.dev", "sources", READS),
    ]
    refused = [
        ("nidus.dev", "requests", ("update", "patch", "delete", "deletecollection")),
        ("", "configmaps", (*READS, *WRITES, "update")),
        ("nidus.dev", "nestedclusters", WRITES),
        ("nidus.dev", "nestedclusters/status", ("patch", "update")),
        ("", "secrets", READS),
        ("coordination.k8s.io", "leases", ("update", "patch", "delete")),
    ]
    assert wrong(ada, account.namespace, allowed, True) == []
    assert wrong(ada, account.namespace, refused, False) == []
    assert may(ada, account.namespace, "coordination.k8s.io", "leases", "get", "nidus")
    assert not may(ada, account.namespace, "coordination.k8s.io", "leases", "get", "another")


def test_the_roles_have_no_wildcards() -> None:
    for document in yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text()):
        for rule in document.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "impersonate"} & set(rule["verbs"])


@pytest.fixture
def restricted(empty_host: TestHost, account: Account) -> Iterator[str]:
    name = f"vcluster-{account.name}-restricted"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    empty_host.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    empty_host.client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nidus", "namespace": name}}
    )
    yield name
    empty_host.client.delete("v1", "Namespace", name)


def test_the_controllers_pod_is_admitted_as_restricted(empty_host: TestHost, restricted: str) -> None:
    objects = installed.of("ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service")
    assert all(one["metadata"]["namespace"] == "nidus-system" for one in objects)
    for one in objects:
        empty_host.client.create({**one, "metadata": {**one["metadata"], "namespace": restricted}})
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "nidus", "namespace": restricted},
        "spec": template["spec"],
    }
    assert empty_host.client.create(pod)["spec"]["serviceAccountName"] == "nidus"


def test_the_example_configuration_is_valid() -> None:
    (config,) = installed.of("ConfigMap")
    assert schema.check(yaml.safe_load(config["data"]["nidus.yaml"])) == []


def acting(account: Account, user: str) -> Client:
    """The host's administrator acting as `user`."""
    admin = account.hosted.client.access
    return Client(Access(admin.server, admin.ca, admin.certificate, admin.key, act_as=user))
