"""The admission policies of deploy/rbac.yaml for people: what they ask for, and what they may not forge (A9)."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account, open_account
from devhost.api import ApiError, Client, path_of
from devhost.hosting import TestHost
from reconciler.controller.rights import Rights
from reconciler.kube import edge
from reconciler.model import HostConfig, UserInfo, replace
from tests import installed
from tests.host.test_admission import RBAC, SECONDS, Body, account, almighty, made, refused

__all__ = ["account", "almighty"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]


@pytest.fixture(scope="module")
def definitions(empty_host: TestHost) -> None:
    """The kinds of deploy/crds/ are served."""
    for one in installed.kinds():
        empty_host.client.apply(one)
    deadline = time.monotonic() + SECONDS
    while not _served(empty_host.client):
        assert time.monotonic() < deadline, "the definitions are not served"
        time.sleep(0.05)


def _served(client: Client) -> bool:
    try:
        return bool(client.list("nidus.dev/v1alpha1", "Request")["items"] is not None)
    except ApiError:
        return False


@pytest.fixture(scope="module")
def operator(empty_host: TestHost, account: Account, definitions: None) -> Iterator[Client]:
    """Somebody with Role nidus-operator."""
    who = f"operator-{account.name}"
    grant(empty_host, account, who, {"kind": "Role", "name": "nidus-operator"})
    with Client(replace(empty_host.client.access, act_as=who)) as client:
        until_allowed(client, asked(account, who, "suspend"))
        yield client


def grant(host: TestHost, account: Account, who: str, role: Body) -> None:
    subject = {"kind": "User", "apiGroup": RBAC, "name": who}
    metadata = {"name": f"{who}-{role['name']}", "namespace": account.namespace}
    body = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": metadata, "subjects": [subject]}
    host.client.create({**body, "roleRef": {"apiGroup": RBAC, **role}})


def asked(account: Account, who: str, kind: str, cluster: str = "team-a", **more: Any) -> Body:
    """A request, of an hour where it approves."""
    spec: Body = {"kind": kind, "who": who, "cluster": cluster, **more}
    if kind == "approve":
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        spec |= {"consent": "d" * 64, "expires": expires}
    return made("nidus.dev/v1alpha1", "Request", account.namespace, spec=spec)


def until_allowed(client: Client, body: Body) -> None:
    """Wait until a dry run passes."""
    path = path_of(body["apiVersion"], body["kind"], body["metadata"]["namespace"])
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            client.request("POST", path, body, query={"dryRun": "All"})
        except ApiError as error:
            assert time.monotonic() < deadline, f"the role is not in force: {error}"
            time.sleep(0.05)
        else:
            return


def test_a_request_is_in_ones_own_name(account: Account, operator: Client) -> None:
    who = f"operator-{account.name}"
    assert "one's own name" in refused(operator, asked(account, "ada", "suspend"))
    for kind, cluster in (("approve", ""), ("approve", "team-a"), ("resume", "team-a")):
        body = asked(account, who, kind, cluster)
        body["metadata"]["name"] = f"{kind}-{cluster or 'all'}"
        operator.create(body)
    for verb in ("PATCH", "DELETE"):
        path = path_of("nidus.dev/v1alpha1", "Request", account.namespace, "approve-all")
        with pytest.raises(ApiError) as error:
            operator.request(verb, path, asked(account, who, "approve"), patch="apply" if verb == "PATCH" else "")
        assert error.value.status == 403


def test_a_request_needs_the_right_to_its_verb_on_its_cluster(
    empty_host: TestHost, account: Account, definitions: None
) -> None:
    who, one = f"owner-{account.name}", ["team-a"]
    may = [
        {"apiGroups": ["nidus.dev"], "resources": ["requests"], "verbs": ["create"]},
        {
            "apiGroups": ["nidus.dev"],
            "resources": ["nestedclusters"],
            "verbs": ["suspend", "approve"],
            "resourceNames": one,
        },
    ]
    role = made(f"{RBAC}/v1", "Role", account.namespace, rules=may)
    role["metadata"]["name"] = "owners"
    empty_host.client.create(role)
    grant(empty_host, account, who, {"kind": "Role", "name": "owners"})
    with Client(replace(empty_host.client.access, act_as=who)) as owner:
        until_allowed(owner, asked(account, who, "suspend"))
        until_allowed(owner, asked(account, who, "approve"))
        for kind, cluster in (("resume", "team-a"), ("suspend", "team-b"), ("approve", "")):
            assert "no right to this verb" in refused(owner, asked(account, who, kind, cluster))


def test_a_request_is_bounded_and_never_changed(empty_host: TestHost, account: Account, operator: Client) -> None:
    who = f"operator-{account.name}"
    for more in ({"reason": "a" * 1025}, {"items": ["a"] * 501}, {"cluster": "A b"}, {"kind": "sync"}, {"cluster": ""}):
        with pytest.raises(ApiError) as error:
            operator.create({**asked(account, who, "suspend"), "spec": asked(account, who, "suspend")["spec"] | more})
        assert error.value.status == 422
    body = asked(account, who, "approve")
    operator.create(body)
    with pytest.raises(ApiError, match="never changed"):
        empty_host.client.apply({**body, "spec": body["spec"] | {"cluster": "team-b"}})


def test_nobody_forges_a_record_or_a_request_of_before(
    empty_host: TestHost, account: Account, almighty: Client
) -> None:
    """Whoever may write ConfigMaps in the controller's namespace: what the controller believes must not come from there."""
    who = f"writer-{account.name}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
    role = made(f"{RBAC}/v1", "Role", account.namespace, rules=[rule])
    role["metadata"]["name"] = "writers"
    empty_host.client.create(role)
    grant(empty_host, account, who, {"kind": "Role", "name": "writers"})
    with Client(replace(empty_host.client.access, act_as=who)) as writer:
        until_allowed(writer, made("v1", "ConfigMap", account.namespace))
        for name, labels in (
            ("nidus-record-a", {}),
            ("nidus-inventory-a-1", {}),
            ("nidus-review-platform-1", {}),
            ("nidus-usage-2026-11-27-0", {}),
            ("nidus-history-a", {}),
            ("harmless", {"nidus.dev/state": "record"}),
            ("harmless", {"nidus.dev/review": "record"}),
            ("nidus-request-suspend-a", {}),
            ("harmless", {"nidus.dev/request": "approve"}),
        ):
            forged = made("v1", "ConfigMap", account.namespace)
            forged["metadata"] |= {"name": name, "labels": labels}
            refused(writer, forged, by=f"nidus-records-{account.name}")
    for name in ("nidus-record-a", "nidus-inventory-a-1", "nidus-review-platform-1"):
        record = made("v1", "ConfigMap", account.namespace)
        record["metadata"] |= {"name": name, "labels": {"nidus.dev/state": "record"}}
        almighty.create(record)


def test_a_request_can_be_removed_when_it_is_spent(account: Account, operator: Client) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}
    for more in (
        {"finalizers": ["example.com/never"]},
        {"ownerReferences": [owner]},
        {"annotations": {"a": "a" * 5000}},
    ):
        body = asked(account, f"operator-{account.name}", "suspend")
        body["metadata"] |= more
        assert "no finalizers" in refused(operator, body)


def test_the_items_of_a_request_are_bounded_together(account: Account, operator: Client) -> None:
    """The controller holds all requests in memory."""
    long = asked(account, f"operator-{account.name}", "approve")
    long["metadata"]["name"] = "long"
    for items in (["a" * 1024] * 500, ["\u00e4" * 100] * 350):
        long["spec"]["items"] = items
        assert "too long together" in refused(operator, long)
    long["spec"]["items"] = ["a" * 130] * 500
    operator.create(long)
    for more in (
        {"annotations": {f"a{number}": "b" for number in range(9)}},
        {"annotations": {"a": "\u00e4" * 3000}},
        {"labels": {f"a{number}": "b" for number in range(17)}},
    ):
        much = asked(account, f"operator-{account.name}", "approve")
        much["metadata"] |= {"name": "much", **more}
        assert "no long or many annotations" in refused(operator, much)


def test_operators_ask_for_a_sync_and_mark_no_webhook(
    empty_host: TestHost, account: Account, almighty: Client, operator: Client
) -> None:
    source = made("nidus.dev/v1alpha1", "Source", account.namespace, spec={"url": "https://git.example.com/a"})
    source["metadata"]["annotations"] = {"nidus.dev/requested": "7"}
    almighty.create(source)
    resync = {"metadata": {"annotations": {"nidus.dev/resync": "8"}}}
    operator.patch("nidus.dev/v1alpha1", "Source", "one", account.namespace, resync)
    for change in (
        {"metadata": {"annotations": {"nidus.dev/requested": "9200000000000000000"}}},
        {"metadata": {"annotations": {"nidus.dev/requested": None}}},
        {"metadata": {"annotations": {"more": "a"}}},
        {"metadata": {"annotations": {"nidus.dev/resync": "9" * 100}}},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"finalizers": ["example.com/never"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}]}},
        {"spec": {"url": "https://git.example.com/b"}},
    ):
        with pytest.raises(ApiError, match="more of a source than its mark"):
            operator.patch("nidus.dev/v1alpha1", "Source", "one", account.namespace, change)
    seen = empty_host.client.get("nidus.dev/v1alpha1", "Source", "one", account.namespace)
    assert seen is not None
    assert seen["metadata"]["annotations"] == {"nidus.dev/requested": "7", "nidus.dev/resync": "8"}


@pytest.fixture
def as_shipped(empty_host: TestHost, rbac_manifests: Path) -> Iterator[Account]:
    """An account with no more rights than the manifests give."""
    opened = open_account(empty_host, rbac_manifests)
    yield opened
    opened.close()


def test_the_dashboard_knows_people_by_their_tokens_and_rights(
    empty_host: TestHost, as_shipped: Account, definitions: None
) -> None:
    """As the controller's own account: whose token one is, and what RBAC gives them, on one cluster and on all."""
    account = as_shipped
    name = f"dash-{account.name}"
    token = token_of(empty_host, account, name)
    who = f"system:serviceaccount:{account.namespace}:{name}"
    grant(empty_host, account, who, {"kind": "Role", "name": "nidus-operator"})
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as client:
        rights = Rights(client, account.namespace, clock=lambda: float("inf"))  # nothing is remembered
        found = rights.holder(token)
        assert found is not None and found.name == who and "system:authenticated" in found.groups
        assert rights.holder(token[:-8] + "AAAAAAAA") is None
        deadline = time.monotonic() + SECONDS
        while not rights.may(found, "sync"):
            assert time.monotonic() < deadline, "the role is not in force"
        assert all(rights.may(found, verb, "team-a") for verb in ("get", "approve", "suspend", "backup", "sync"))
        assert not rights.may(found, "delete", "team-a") and not rights.may(found, "escalate")
        assert rights.seen(found, ["a", "b"]) == {"a", "b"} == rights.seen(found, ["a", "b"], "sources")
        assert rights.seen(UserInfo("nobody", groups=("system:authenticated",)), ["a", "b"]) == frozenset()


def token_of(host: TestHost, account: Account, name: str) -> str:
    """A token of a service account of its own."""
    host.client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": account.namespace}}
    )
    path = f"{path_of('v1', 'ServiceAccount', account.namespace)}/{name}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(host.client.request("POST", path, body)["status"]["token"])
