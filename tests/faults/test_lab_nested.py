"""Nested API servers that hang, answer rubbish or refuse what is inside, on the running product (faults-found.md 3, 4, 12)."""

import json
from typing import Any

import pytest

from devhost.ports import free_port
from tests.faults.lab import SOON, Lab
from tests.faults.proxy import Request, rewrites
from tests.faults.test_lab_host import change, standing
from tests.host.field import config_map, namespace, profile
from tests.host.test_input_repository import deletes
from tests.host.test_process_life import greeting

pytestmark = pytest.mark.host

DEEP = b'{"items":' * 2000 + b"[]" + b"}" * 2000
RUBBISH: dict[str, bytes] = {
    "no JSON": b"<html>gateway</html>",
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "a text": b'"ok"',
    "2,000 deep": DEEP,
    "cut": b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"meta',
    "a list of something else": b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}',
    "items without metadata": b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{}]}',
    "textual metadata": b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":"x"}]}',
    "metadata a list": b'{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}',
    "no uid": b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"greeting","resourceVersion":"1"}}',
    "no UTF-8": b'{"kind":"\xff\xfe"}',
    "null": b"null",
    "another object": b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"other","namespace":"kube-system",'
    b'"uid":"u","resourceVersion":"1"}}',
    "a Status that says Failure": b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":403}',
}
WRITTEN: dict[str, bytes] = {
    "an apply answered with an empty object": b"{}",
    "an apply answered without a uid": RUBBISH["no uid"],
}
"""What only a write meets: lists and dry-runs before it are answered well."""


def asks_of_objects(one: Request) -> bool:
    return "/configmaps" in one.path or "/namespaces" in one.path


def writes_objects(one: Request) -> bool:
    return one.method == "PATCH" and asks_of_objects(one) and "dryRun" not in one.query


@pytest.mark.long
@pytest.mark.timeout(300)
def test_rubbish_from_a_nested_server(lab: Lab) -> None:
    """Lab 3: 18 kinds, each its own cluster's failure: the process lives, the other is applied, nothing is deleted inside."""
    hurt, fine = standing(lab, "a", "b")
    assert lab.controller
    kinds = [(asks_of_objects, *one) for one in RUBBISH.items()] + [(writes_objects, *one) for one in WRITTEN.items()]
    with lab.nested(hurt) as nested:
        for number, (asks, what, body) in enumerate(kinds):
            with nested.fault(asks, rewrites(lambda _, body=body: body)) as fault:
                commit = change(lab, f"rubbish {number}", "a", "b")
                lab.until(f"{what} was answered", lambda fault=fault: fault.hits)
                lab.until(f"the other is applied beside {what}", lambda commit=commit: lab.applied(fine, commit))
                assert lab.lives, what
        lab.heal("3: rubbish is over", lambda: lab.applied(hurt, commit) and lab.word(hurt) == "Ready", SOON)
        assert greeting(lab, hurt) == f"rubbish {len(kinds) - 1}"
        inside = [one for one in nested_deletes(lab, hurt) if one]
    assert "Bug" not in {line["event"] for line in lab.controller.lines()}
    assert inside == [] and deletes(lab) == []


def nested_deletes(lab: Lab, name: str) -> list[str]:
    """What of the cluster's own objects inside is going or gone."""
    found = lab.inside(name).get("v1", "Namespace", f"{name}-web")
    return [] if found and not found["metadata"].get("deletionTimestamp") else [f"{name}-web"]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_nested_server_that_never_answers(lab: Lab) -> None:
    """Lab 4 in small (`python -m bench hanging` is the measure): Unknown, Unreachable within 30 s of the push; the other is applied."""
    hurt, fine = standing(lab, "a", "b")
    with lab.proxy.silent(f"vcluster-{hurt}"):
        commit = change(lab, "two", "a", "b")
        lab.heal("4: the healthy one is applied", lambda: lab.applied(fine, commit))
        told = lab.heal(
            "4: told as Unreachable",
            lambda: lab.ready(hurt) if lab.ready(hurt).get("status") == "Unknown" else None,
            SOON,
        )
        assert told["reason"] == "Unreachable"
        assert "credentials" not in told["message"]
    lab.heal("4: it answers again", lambda: lab.applied(hurt, commit) and lab.word(hurt) == "Ready")
    assert deletes(lab) == []


@pytest.mark.long
def test_what_inside_refused_is_looked_at_again(lab: Lab) -> None:
    """Lab 12: a dead admission webhook removed, a full quota raised: Ready within 30 s, no commit."""
    (name,) = standing(lab, "a")
    inside, space = lab.inside(name), f"{name}-web"
    hook = dead_webhook(f"{lab.account.name}-dead", space)
    inside.apply(hook)
    lab.until("the webhook refuses", lambda: refuses(lab, name))
    commit = change(lab, "two")
    lab.until("it is told", lambda: lab.word(name) not in ("Ready", "") and commit in str(lab.status(name)))
    lab.until("some passes failed, so that the pauses have grown", lambda: failures(lab) > 3)
    inside.delete(hook["apiVersion"], hook["kind"], hook["metadata"]["name"])
    lab.heal("12: dead webhook removed", lambda: lab.applied(name, commit) and lab.word(name) == "Ready")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": space}}
    inside.apply({**quota, "spec": {"hard": {"count/configmaps": "2"}}})
    lab.until("the quota counts", lambda: "status" in (inside.get("v1", "ResourceQuota", "full", space) or {}))
    objects = [namespace(), *(config_map(f"more-{number}", text="x") for number in range(4))]
    lab.write("profiles/web.yaml", profile("web", "1.0.0", [{"name": "web", "manifests": {"objects": objects}}]))
    commit = lab.push("more than fits")
    lab.until("it is told", lambda: "quota" in json.dumps(lab.status(name)))
    inside.apply({**quota, "spec": {"hard": {"count/configmaps": "50"}}})
    lab.heal("12: full quota raised", lambda: lab.applied(name, commit) and lab.word(name) == "Ready")


def failures(lab: Lab) -> float:
    """Changes that failed since the controller started."""
    assert lab.controller
    lines = lab.controller.get("/metrics").splitlines()
    return sum(float(one.split()[-1]) for one in lines if one.startswith('nidus_changes_total{outcome="failed"}'))


def dead_webhook(name: str, space: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    one = {
        "name": "dead.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**head, "metadata": {"name": name}, "webhooks": [one]}


def refuses(lab: Lab, name: str) -> bool:
    from devhost.api import ApiError

    try:
        lab.inside(name).apply(config_map("probe", f"{name}-web", text="x"))
    except ApiError:
        return True
    return False
