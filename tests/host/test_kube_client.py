"""The verbs against a real API server, as the controller's own account (A1, A2, A6)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import client as verbs
from reconciler.kube import edge, pages
from reconciler.kube.client import Client
from reconciler.model import HostConfig, ObjectRef

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
OURS = "nidus-record-"  # what the account may write in its own namespace
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def client(account: Account, empty_host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as made:
        yield made


@pytest.fixture
def admin(empty_host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(empty_host.kubeconfig)))) as made:
        yield made


def config(account: Account, name: str = "a", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{OURS}{name}", "namespace": account.namespace, "labels": {"test": "verbs"}},
        "data": data,
    }


def ref(account: Account, name: str = "a") -> ObjectRef:
    return ObjectRef("", "ConfigMap", account.namespace, f"{OURS}{name}")


def refusal(act: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        act()
    return error.value


def test_an_object_lives_and_goes(client: Client, account: Account) -> None:
    assert client.get(ref(account)) is None
    made = client.apply(config(account, a="1"))
    uid = made.object["metadata"]["uid"]
    assert made.created
    assert not client.apply(config(account, a="1"), uid=uid).created
    live = client.get(ref(account))
    assert live is not None
    assert live["data"] == {"a": "1"}
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == [verbs.MANAGER]
    assert client.delete(ref(account), uid) is None
    assert client.delete(ref(account), uid) is None
    assert client.get(ref(account)) is None


def test_a_dry_run_writes_nothing(client: Client, account: Account) -> None:
    assert client.apply(config(account, a="1"), dry_run=True).object["data"] == {"a": "1"}
    assert client.get(ref(account)) is None


def test_a_write_meant_for_one_object_never_meets_another(client: Client, account: Account) -> None:
    absent = refusal(lambda: client.apply(config(account), uid=NOBODY))
    client.apply(config(account, a="1"))
    another = refusal(lambda: client.apply(config(account, a="2"), uid=NOBODY))
    successor = refusal(lambda: client.delete(ref(account), NOBODY))
    assert [error.kind for error in (absent, another, successor)] == [ErrorClass.RACED] * 3
    assert client.get(ref(account)) is not None


def test_a_rival_is_named_with_the_field(client: Client, admin: Client, account: Account) -> None:
    admin.apply(config(account, a="1", b="1"), manager="rival")
    error = refusal(lambda: client.apply(config(account, a="2")))
    assert error.kind is ErrorClass.FIELD_CONFLICT
    assert error.causes == ((".data.a", "FieldManagerConflict", 'conflict with "rival"'),)
    assert client.apply(config(account, a="2"), force=True).object["data"] == {"a": "2", "b": "1"}


def test_a_finalizer_keeps_an_object_in_sight(client: Client, account: Account) -> None:
    held = config(account)
    held["metadata"]["finalizers"] = ["test.nidus.dev/hold"]
    uid = client.apply(held).object["metadata"]["uid"]
    leaving = client.delete(ref(account), uid)
    assert leaving is not None
    assert leaving["metadata"]["deletionTimestamp"]
    client.apply(config(account), uid=uid)
    assert client.get(ref(account)) is None


def test_a_namespace_that_leaves_says_so(admin: Client, account: Account) -> None:
    name = f"vcluster-{account.name}-x"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    uid = admin.apply(space).object["metadata"]["uid"]
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": name, "finalizers": ["test.nidus.dev/hold"]},
    }
    config_uid = admin.apply(held).object["metadata"]["uid"]
    leaving = admin.delete(ObjectRef("", "Namespace", "", name), uid)
    assert leaving is not None
    other: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": name}}
    assert refusal(lambda: admin.apply(other)).kind is ErrorClass.WAIT_NAMESPACE
    del held["metadata"]["finalizers"]  # type: ignore[attr-defined]
    admin.apply(held, uid=config_uid)


def test_what_the_server_refuses_for_good_is_not_tried_again(admin: Client, account: Account) -> None:
    assert refusal(lambda: admin.apply({**config(account), "dta": {}})).kind is ErrorClass.INVALID
    missing = {**config(account), "metadata": {"name": "a", "namespace": "no-such-namespace"}}
    assert refusal(lambda: admin.apply(missing)).kind is ErrorClass.NAMESPACE_MISSING
    assert admin.get(ObjectRef("", "ConfigMap", "no-such-namespace", "a")) is None
    widget = {"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a"}}
    assert refusal(lambda: admin.apply(widget)).kind is ErrorClass.KIND_MISSING
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": account.namespace},
        "stringData": {"key": "hunter2"},
        "immutable": True,
    }
    admin.apply(secret)
    error = refusal(lambda: admin.apply({**secret, "stringData": {"key": "hunter3"}}))
    assert error.kind is ErrorClass.IMMUTABLE
    assert "hunter" not in f"{error.message}{error.causes}"


def test_a_policy_denies_and_is_not_taken_for_a_bad_object(admin: Client, account: Account) -> None:
    group, name = "admissionregistration.k8s.io", f"no-config-{account.name}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": account.namespace}}}
    policy = {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [
                {"expression": "!has(object.data) || !('no' in object.data)", "message": "it is immutable"}
            ],
        },
    }
    binding = {
        **policy,
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": only},
    }
    made = [admin.apply(one).object for one in (policy, binding)]
    ends = time.monotonic() + 30
    error: ApiError | None = None
    while error is None and time.monotonic() < ends:  # a policy takes hold within moments, unseen
        try:
            admin.apply(config(account, no="1"), dry_run=True)
            time.sleep(0.1)
        except ApiError as found:
            error = found
    for one in reversed(made):
        admin.delete(ObjectRef(group, one["kind"], "", name), one["metadata"]["uid"])
    assert error is not None
    assert (error.status, error.kind) == (422, ErrorClass.DENIED)


def test_the_account_is_refused_what_is_not_its_own(client: Client, account: Account) -> None:
    foreign = {**config(account), "metadata": {"name": "a", "namespace": "default"}}
    assert refusal(lambda: client.apply(foreign)).kind is ErrorClass.DENIED


def test_a_list_is_whole_over_pages(client: Client, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 3)
    with ThreadPoolExecutor(16) as workers:
        list(workers.map(lambda number: client.apply(config(account, f"n{number}")), range(16)))
    found, version = client.list("", "ConfigMap", namespace=account.namespace, labels="test=verbs")
    assert {obj["metadata"]["name"] for obj in found} == {f"{OURS}n{number}" for number in range(16)}
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("v1", "ConfigMap")}
    assert int(version) > 0


def test_records_move_only_from_the_version_they_were_read_at(client: Client, account: Account) -> None:
    made = client.create(config(account, a="1"))
    assert refusal(lambda: client.create(config(account))).kind is ErrorClass.RACED
    assert client.replace({**made, "data": {"a": "2"}})["data"] == {"a": "2"}
    assert refusal(lambda: client.replace({**made, "data": {"a": "3"}})).kind is ErrorClass.RACED


def test_a_kind_made_later_is_found(admin: Client, account: Account) -> None:
    group = f"{account.name}.example"
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }],
        },
    }  # fmt: skip
    assert refusal(lambda: admin.namespaced(group, "Thing")).kind is ErrorClass.KIND_MISSING
    uid = admin.apply(crd).object["metadata"]["uid"]
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": account.namespace}}
    made = _soon(lambda: admin.apply(thing))
    assert made.created
    told = admin.patch_status(ObjectRef(group, "Thing", account.namespace, "t"), {**thing, "status": {"ready": True}})
    assert told["status"] == {"ready": True}
    admin.delete(ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", f"things.{group}"), uid)


def _soon(act: Any) -> Any:
    """Discovery and the new path follow a CRD within moments; the caller's retry is played here."""
    ends = time.monotonic() + 60
    while True:
        try:
            return act()
        except ApiError as error:
            if time.monotonic() > ends or error.kind not in (ErrorClass.KIND_MISSING, ErrorClass.AMBIGUOUS):
                raise
            time.sleep(0.2)


def test_the_server_tells_version_and_health(client: Client) -> None:
    assert client.version().startswith("v1.")
    assert client.readyz()
    assert "apps/v1/Deployment" in client.kinds()
    assert not client.namespaced("", "Namespace")
