"""The admission policies of deploy/rbac.yaml: what the controller's account may not write, whatever rights it has (A9).

In these tests the account is cluster-admin, as if somebody had bound it by mistake: what is refused, the policies refuse.
"""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account, open_account
from devhost.api import ApiError, Client, path_of
from devhost.hosting import TestHost
from tests import gateways as gateway_api

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]

RBAC = "rbac.authorization.k8s.io"
SECONDS = 60.0
Body = dict[str, Any]


@pytest.fixture(scope="module")
def account(empty_host: TestHost, rbac_manifests: Path) -> Iterator[Account]:
    """One account for the module: each of its tests has a namespace of its own."""
    opened = open_account(empty_host, rbac_manifests)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def almighty(empty_host: TestHost, account: Account) -> Client:
    return granted_all(empty_host, account)


def granted_all(host: TestHost, account: Account) -> Client:
    """The account's client once it may do anything and the policies are in force."""
    grant = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"almighty-{account.name}"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": account.user}],
    }
    host.client.create(grant)
    deadline = time.monotonic() + SECONDS
    while not may_all(account.client):
        assert time.monotonic() < deadline, "the grant is not in force"
        time.sleep(0.05)
    bare: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"vcluster-{account.name}-bare"}}
    token = named(made("v1", "Secret", account.namespace, type="kubernetes.io/service-account-token"), "nidus-salt")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "nidus"}
    account.client.create(namespace(f"vcluster-{account.name}-probe", account))
    wrong = binding(account, f"vcluster-{account.name}-probe", "nidus-tenant")
    wrong["subjects"] = [*wrong["subjects"], *wrong["subjects"]]
    outside = made("v1", "ConfigMap", "default")
    for body, policy in ((outside, "writes"), (bare, "namespaces"), (wrong, "bindings"), (token, "objects")):
        refused(account.client, body, by=f"nidus-{policy}-{account.name}")
    return account.client


@pytest.fixture
def tenant(almighty: Client, account: Account) -> str:
    """A namespace as the controller makes them."""
    name = f"vcluster-{account.name}-{secrets.token_hex(3)}"
    almighty.create(namespace(name, account))
    return name


@pytest.fixture
def foreign(empty_host: TestHost, account: Account) -> Iterator[str]:
    """Somebody else's namespace, with something in it that guards it."""
    name = f"foreign-{secrets.token_hex(3)}"
    empty_host.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    empty_host.client.create(guard(name))
    yield name
    empty_host.client.delete("v1", "Namespace", name)


def test_what_it_needs_stays_allowed(almighty: Client, account: Account, tenant: str) -> None:
    for body in (
        binding(account, tenant, "nidus-tenant"),
        binding(account, tenant, "nidus-engine"),
        binding(account, tenant, "nidus-engine-networkpolicies"),
        guard(tenant),
        workload(tenant),
        made("v1", "Secret", tenant, stringData={"a": "b"}),
        named(made("v1", "ConfigMap", account.namespace, data={"a": "b"}), "nidus-record-a"),
    ):
        almighty.create(body)
        almighty.apply({**body, "metadata": {**body["metadata"], "annotations": {"seen": "twice"}}})
        meta = body["metadata"]
        almighty.delete(body["apiVersion"], body["kind"], meta["name"], meta["namespace"])
    almighty.apply(namespace(tenant, account, enforce="restricted"))
    almighty.delete("v1", "Namespace", tenant)


def test_its_configuration_and_credentials_are_not_its_to_write(almighty: Client, account: Account) -> None:
    """Who writes the configuration says to whom the mounted credentials are sent; a Secret that is mounted may not be there yet."""
    for kind, name in (
        ("ConfigMap", "nidus"),
        ("ConfigMap", "nidus-record"),
        ("Secret", "nidus-webhook"),
        ("Secret", "nidus"),
    ):
        body = named(made("v1", kind, account.namespace), name)
        for verb in ("POST", "PATCH"):
            assert "writes its records and its salt" in refused(almighty, body, verb)


def named(body: Body, name: str) -> Body:
    return {**body, "metadata": {**body["metadata"], "name": name}}


@pytest.mark.parametrize("where", ["kube-system", "kube-public", "default", "foreign"])
def test_it_binds_nobody_outside_its_tenants(almighty: Client, account: Account, foreign: str, where: str) -> None:
    space = foreign if where == "foreign" else where
    assert "labelled as those of its nested clusters" in refused(almighty, binding(account, space, "nidus-tenant"))
    assert "labelled as those of its nested clusters" in refused(almighty, guard(space))
    for kind in ("Secret", "ConfigMap"):
        assert "labelled as those" in refused(almighty, made("v1", kind, space))


def test_what_guards_others_stays(almighty: Client, foreign: str) -> None:
    body = guard(foreign)
    assert "labelled as those" in refused(almighty, body, "DELETE")
    assert "labelled as those" in refused(
        almighty, {**body, "spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, "PATCH"
    )


def test_its_own_namespace_holds_its_records_only(almighty: Client, account: Account) -> None:
    for body in (binding(account, account.namespace, "nidus-tenant"), guard(account.namespace)):
        assert "never writes this kind here" in refused(almighty, body)


@pytest.mark.parametrize(
    ("role", "kind", "subject", "home"),
    [
        ("cluster-admin", "ServiceAccount", "nidus", "{own}"),
        ("admin", "ServiceAccount", "vc-{cluster}", "{tenant}"),
        ("nidus-tenant", "ServiceAccount", "nidus", "{tenant}"),
        ("nidus-tenant", "ServiceAccount", "vc-{cluster}", "{tenant}"),
        ("nidus-engine", "ServiceAccount", "nidus", "{own}"),
        ("nidus-engine", "ServiceAccount", "vc-other", "{tenant}"),
        ("nidus-engine", "ServiceAccount", "vc-{cluster}", "kube-system"),
        ("nidus-engine", "User", "eve", ""),
        ("nidus-engine-ingresses", "ServiceAccount", "vc-other", "{tenant}"),
        ("nidus-engine-secrets", "ServiceAccount", "vc-{cluster}", "{tenant}"),
        ("nidus-tenant", "Group", "system:authenticated", ""),
    ],
)
def test_each_role_goes_to_its_account_only(
    almighty: Client, account: Account, tenant: str, role: str, kind: str, subject: str, home: str
) -> None:
    names = {"own": account.namespace, "tenant": tenant, "cluster": f"{account.name}-a"}
    one: Body = {"kind": kind, "name": subject.format(**names)}
    one |= {"namespace": home.format(**names)} if home else {"apiGroup": RBAC}
    wanted = {**binding(account, tenant, "nidus-tenant"), "subjects": [one]}
    wanted["roleRef"] = {**wanted["roleRef"], "name": role}
    assert "nidus-engine" in refused(almighty, wanted)
    right = binding(account, tenant, "nidus-tenant")
    assert "nidus-engine" in refused(almighty, {**right, "subjects": [*right["subjects"], one]})


def test_namespaces_are_its_own_or_nobodys_business(almighty: Client, account: Account, foreign: str) -> None:
    labelled = namespace(foreign, account)
    assert "not labelled as one of nidus" in refused(almighty, labelled, "PATCH")
    assert "not labelled as one of nidus" in refused(almighty, labelled, "DELETE")
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"vcluster-{account.name}-b"}}
    assert "without its labels" in refused(almighty, bare)
    for name in ("kube-system", "default", account.namespace, account.shared):
        assert "never touches" in refused(almighty, namespace(name, account), "PATCH")
    # of two policies that refuse, the server names the one it happened to read first
    said = refused(almighty, namespace(account.shared, account), "DELETE")
    assert "never touches" in said or "is kept" in said
    assert "pod security" in refused(almighty, namespace(f"vcluster-{account.name}-b", account, enforce="privileged"))
    old = namespace(f"vcluster-{account.name}-b", account)
    old["metadata"]["labels"]["pod-security.kubernetes.io/enforce-version"] = "v1.20"
    assert "latest version of pod security" in refused(almighty, old)


def test_a_namespace_of_its_own_is_not_let_go(almighty: Client, account: Account, tenant: str) -> None:
    bare = namespace(tenant, account)
    bare["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "somebody", "nidus.dev/cluster": "other"}
    assert "without its labels" in refused(almighty, bare, "PATCH")
    moved = namespace(tenant, account)
    moved["metadata"]["labels"]["nidus.dev/cluster"] = "other"
    assert "stays with its nested cluster" in refused(almighty, moved, "PATCH")


@pytest.mark.parametrize(
    ("pod", "container", "why"),
    [
        ({"hostNetwork": True}, {}, "shares no namespace"),
        ({"hostPID": True}, {}, "shares no namespace"),
        ({"hostIPC": True}, {}, "shares no namespace"),
        ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, {}, "mounts nothing of its node"),
        ({"volumes": [{"name": "disk", "nfs": {"server": "a", "path": "/"}}]}, {}, "mounts nothing of its node"),
        ({}, {"privileged": True, "allowPrivilegeEscalation": True}, "without privileges"),
        ({}, {"allowPrivilegeEscalation": None}, "without privileges"),
        ({}, {"capabilities": {"add": ["NET_ADMIN"]}}, "without privileges"),
        ({"securityContext": {}}, {}, "does not run as root"),
        ({"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, {}, "does not run as root"),
        ({}, {"runAsNonRoot": False}, "does not run as root"),
        ({}, {"runAsUser": 0}, "does not run as root"),
        ({"nodeName": "node-1"}, {}, "where the scheduler says"),
        ({"priorityClassName": "system-node-critical"}, {}, "without a class of the system"),
        ({"serviceAccountName": "somebody"}, {}, "as an account of its cluster"),
    ],
)
def test_a_workload_takes_nothing_of_its_node(
    almighty: Client, tenant: str, pod: Body, container: Body, why: str
) -> None:
    for part in ("containers", "initContainers"):
        wanted = workload(tenant)
        spec = wanted["spec"]["template"]["spec"]
        spec |= pod
        one = {"name": "two", "image": "a", "securityContext": {"allowPrivilegeEscalation": False} | container}
        spec["containers" if part == "containers" else "initContainers"] = [one]
        assert why in refused(almighty, wanted)
        assert why in refused(
            almighty, {**wanted, "kind": "Deployment", "spec": without(wanted["spec"], "serviceName")}
        )
        with pytest.raises(ApiError) as error:  # pod security refuses some of them first
            almighty.create(restoring(tenant, spec))
        assert error.value.status == 403


def test_the_only_pod_it_makes_restores_its_cluster(almighty: Client, account: Account, tenant: str) -> None:
    spec = workload(tenant)["spec"]["template"]["spec"]
    for label, value in (("app", "vcluster"), ("nidus.dev/cluster", "other")):
        wanted = restoring(tenant, spec)
        wanted["metadata"]["labels"][label] = value
        assert "the one pod that nidus makes" in refused(almighty, wanted)
    assert "the one pod that nidus makes" in refused(almighty, restoring(tenant, spec | {"restartPolicy": "Always"}))
    almighty.create(restoring(tenant, spec))
    changed = restoring(tenant, spec)
    changed["metadata"]["labels"]["more"] = "x"
    assert "never writes this kind here" in refused(almighty, changed, "PATCH")


def test_the_only_claim_it_makes_is_that_of_the_store(almighty: Client, account: Account, tenant: str) -> None:
    name = f"data-{account.name}-a-0"
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    for more in ({"volumeName": "of-somebody"}, {"storageClassName": ""}, {"selector": {"matchLabels": {"a": "b"}}}):
        assert "the one claim that nidus makes" in refused(almighty, claim(tenant, name, storage | more))
    assert "the one claim that nidus makes" in refused(almighty, claim(tenant, "other", storage))
    almighty.create(claim(tenant, name, storage))


def test_kinds_it_has_no_business_with(almighty: Client, account: Account, tenant: str) -> None:
    template = workload(tenant)["spec"]["template"]
    pod = made("v1", "Pod", tenant, spec=template["spec"])
    job = made("batch/v1", "Job", tenant, spec={"template": {"spec": template["spec"] | {"restartPolicy": "Never"}}})
    role = made(f"{RBAC}/v1", "Role", tenant, rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    assert "the one pod that nidus makes" in refused(almighty, pod)
    for body in (job, role):
        assert "never writes this kind here" in refused(almighty, body)
    everywhere = {**binding(account, tenant, "nidus-tenant"), "kind": "ClusterRoleBinding"}
    everywhere["metadata"] = {"name": "eve"}
    assert "labelled as those" in refused(almighty, everywhere)
    token = made("v1", "Secret", tenant, type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
    assert "no tokens" in refused(almighty, token)
    ports = [{"port": 80}]
    service = made("v1", "Service", tenant, spec={"ports": ports, "externalIPs": ["192.0.2.1"]})
    assert "no external addresses" in refused(almighty, service)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{tenant}/serviceaccounts/default/token"
    assert "no such subresource" in sent_until_refused(almighty, "POST", path, asked)


def test_what_it_exposes_is_the_api_server_of_the_cluster(almighty: Client, account: Account, tenant: str) -> None:
    ports, cluster = [{"port": 443}], f"{account.name}-a"
    for spec in (
        {"type": "ExternalName", "externalName": "kubernetes.default.svc.cluster.local"},
        {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1", "ports": ports},
    ):
        assert "no other name" in refused(almighty, made("v1", "Service", tenant, spec=spec))
    for wanted in (
        ingress(tenant, cluster, "a.example.com", "b.example.com"),
        ingress(tenant, cluster, "*.example.com"),
        ingress(tenant, cluster, ""),
        ingress(tenant, "other", "a.example.com"),
    ):
        assert "leads one host name" in refused(almighty, wanted)
    almighty.create(ingress(tenant, cluster, "a.example.com"))
    almighty.create(made("v1", "Service", tenant, spec={"type": "LoadBalancer", "ports": ports}))


@pytest.fixture(scope="module")
def gateways(empty_host: TestHost) -> Iterator[None]:
    """The kinds of the Gateway API, served."""
    for one in gateway_api.definitions():
        empty_host.client.create(one)
    path = f"/apis/{gateway_api.GROUP}/v1/tlsroutes"
    deadline = time.monotonic() + SECONDS
    while not listed(empty_host.client, path):
        assert time.monotonic() < deadline, "the kind is not served"
        time.sleep(0.1)
    yield
    for one in gateway_api.definitions():
        empty_host.client.delete(one["apiVersion"], one["kind"], one["metadata"]["name"])


def listed(client: Client, path: str) -> bool:
    try:
        client.request("GET", path)
    except ApiError:
        return False
    return True


@pytest.mark.usefixtures("gateways")
def test_a_route_leads_one_name_of_a_gateway_to_the_api_server(almighty: Client, account: Account, tenant: str) -> None:
    cluster, good = f"{account.name}-a", route(tenant, f"{account.name}-a", "a.example.com")
    spec = good["spec"]
    for wanted in (
        route(tenant, cluster, "a.example.com", "b.example.com"),
        route(tenant, cluster, "*.example.com"),
        route(tenant, cluster),
        route(tenant, "other", "a.example.com"),
        good
        | {"spec": spec | {"rules": [{"backendRefs": [{"name": cluster, "namespace": "kube-system", "port": 1}]}]}},
        good | {"spec": spec | {"rules": [{"backendRefs": [{"name": cluster, "kind": "Pod", "port": 1}]}]}},
        good | {"spec": spec | {"parentRefs": [{"name": cluster, "group": "", "kind": "Service"}]}},
    ):
        assert "leads one host name of a Gateway" in refused(almighty, wanted)
    almighty.create(good)
    changed = good | {"spec": spec | {"hostnames": ["*.example.com"]}}
    assert "leads one host name of a Gateway" in refused(almighty, changed, "PATCH")
    edge = gateway_api.gateway("edge", tenant, gateway_api.listener())
    assert "never writes this kind here" in refused(almighty, edge)


@pytest.mark.usefixtures("gateways")
def test_the_domain_of_the_operator_bounds_the_host_names(
    request: pytest.FixtureRequest, empty_host: TestHost, almighty: Client, account: Account, tenant: str
) -> None:
    """Written into policy nidus-objects: the configuration is for the controller, and not for who stole its token."""
    admin, cluster, name = empty_host.client, f"{account.name}-a", f"nidus-objects-{account.name}"
    policy = admin.get("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", name)
    assert policy is not None
    variables = [one | ({"expression": '".nested.example.com"'} if one["name"] == "domain" else {})
                 for one in policy["spec"]["variables"]]  # fmt: skip
    restored = {"spec": {"variables": policy["spec"]["variables"]}}  # the account is the whole module's
    request.addfinalizer(lambda: admin.patch(policy["apiVersion"], policy["kind"], name, "", restored))
    admin.patch(policy["apiVersion"], policy["kind"], name, "", {"spec": {"variables": variables}})
    inside, below = ingress(tenant, cluster, "a.nested.example.com"), "below the domain"
    outside = ingress(tenant, cluster, "a.example.com")
    assert below in refused(almighty, outside)
    told = "external-dns.alpha.kubernetes.io/hostname"
    for changed in (
        {"spec": inside["spec"] | {"tls": [{"hosts": ["a.nested.example.com", "bank.example.com"]}]}},
        {"metadata": inside["metadata"] | {"annotations": {told: "a.nested.example.com, bank.example.com"}}},
    ):
        assert below in refused(almighty, inside | changed)
    assert below in refused(almighty, route(tenant, cluster, "a.example.com"))
    balancer = made("v1", "Service", tenant, spec={"type": "LoadBalancer", "ports": [{"port": 443}]})
    balancer["metadata"]["annotations"] = {told: "bank.example.com"}
    assert below in refused(almighty, balancer)
    balancer["metadata"]["annotations"] = {told: "b.nested.example.com"}
    almighty.create(balancer)
    almighty.create(inside | {"spec": inside["spec"] | {"tls": [{"hosts": ["a.nested.example.com"]}]}})


def ingress(space: str, service: str, *hosts: str) -> Body:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 443}}}}
    rules = [{"host": host, "http": {"paths": [path]}} if host else {"http": {"paths": [path]}} for host in hosts]
    return made("networking.k8s.io/v1", "Ingress", space, spec={"rules": rules})


def route(space: str, service: str, *hosts: str) -> Body:
    spec = {
        "parentRefs": [{"name": "edge", "namespace": "gateways"}],
        "hostnames": list(hosts),
        "rules": [{"backendRefs": [{"name": service, "port": 443}]}],
    }
    return made(f"{gateway_api.GROUP}/v1", "TLSRoute", space, spec=spec)


def may_all(client: Client) -> bool:
    asked = {"group": "*", "resource": "*", "verb": "*"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


def refused(client: Client, body: Body, verb: str = "POST", by: str = "") -> str:
    """What the policies (or the one called `by`) say to a dry run of the request."""
    meta = body["metadata"]
    name = "" if verb == "POST" else meta["name"]
    path = path_of(body["apiVersion"], body["kind"], meta.get("namespace", ""), name)
    return sent_until_refused(client, verb, path, body, by)


def sent_until_refused(client: Client, verb: str, path: str, body: Body, by: str = "") -> str:
    """Policies come into force a moment after they are made: until then a dry run passes."""
    deadline = time.monotonic() + SECONDS
    query = {"dryRun": "All"} | ({"fieldManager": "nidus", "force": "true"} if verb == "PATCH" else {})
    while True:
        try:
            sent = None if verb == "DELETE" else body
            client.request(verb, path, sent, query=query, patch="apply" if verb == "PATCH" else "")
        except ApiError as error:
            if "ValidatingAdmissionPolicy" not in str(error):
                raise
            assert error.status == 403
            if f"'{by}" in str(error):
                return str(error)
        assert time.monotonic() < deadline, f"{verb} {path} is not refused"
        time.sleep(0.1)


def namespace(name: str, account: Account, enforce: str = "baseline") -> Body:
    labels = {
        "app.kubernetes.io/managed-by": "nidus",
        "nidus.dev/cluster": f"{account.name}-a",
        "pod-security.kubernetes.io/enforce": enforce,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def binding(account: Account, space: str, role: str) -> Body:
    home, name = (space, f"vc-{account.name}-a") if role != "nidus-tenant" else (account.namespace, "nidus")
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": space},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
    }


def guard(space: str) -> Body:
    return made("networking.k8s.io/v1", "NetworkPolicy", space, spec={"podSelector": {}, "policyTypes": ["Ingress"]})


def workload(space: str) -> Body:
    labels = {"app": "one"}
    container = {"name": "one", "image": "a", "securityContext": {"allowPrivilegeEscalation": False}}
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "b"}}]
    pod = {"containers": [container], "volumes": volumes, "securityContext": {"runAsNonRoot": True}}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "serviceName": "one", "selector": {"matchLabels": labels}, "template": template}
    return made("apps/v1", "StatefulSet", space, spec=spec)


def restoring(space: str, spec: Body) -> Body:
    """The pod of a restore."""
    pod = made("v1", "Pod", space, spec={"restartPolicy": "Never", **spec})
    cluster = space.removeprefix("vcluster-").rpartition("-")[0] + "-a"
    return pod | {"metadata": pod["metadata"] | {"labels": {"app": "vcluster-snapshot", "nidus.dev/cluster": cluster}}}


def claim(space: str, name: str, spec: Body) -> Body:
    body = made("v1", "PersistentVolumeClaim", space, spec=spec)
    return body | {"metadata": body["metadata"] | {"name": name}}


def made(api: str, kind: str, space: str, **more: Any) -> Body:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "one", "namespace": space}, **more}


def without(body: Body, key: str) -> Body:
    return {name: value for name, value in body.items() if name != key}
