"""The planner's field sets against a real API server: what it says we own, what it fills in, what an autoscaler takes."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from devhost.hosting import TestHost
from reconciler.model import MISSING, IgnoreRule
from reconciler.plan import drift, paths
from reconciler.plan.diff import diff
from reconciler.plan.fields import left_out, managed, managers, owned
from reconciler.plan.request import request
from reconciler.plan.walk import satisfied
from tests.field_corpus import CORPUS, CRD, OWNED, SELECTOR, THING
from tests.server_model import layer

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("fields")]
REWRITTEN = {"ResourceQuota", "LimitRange", "Job", "CronJob", "PriorityClass"}


@pytest.fixture
def server(empty_host: TestHost) -> Iterator[TestHost]:
    yield empty_host
    for obj in reversed(CORPUS):
        meta = obj["metadata"]
        empty_host.client.delete(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", ""), grace=0)


def test_owned_is_what_the_server_says_we_manage(server: TestHost) -> None:
    for obj in CORPUS:
        live = server.client.apply(obj, manager="nidus")
        assert owned(obj) == managed(live), obj["kind"]
        again = server.client.apply(obj, manager="nidus")
        assert diff(obj, live, again, owned(obj), ()) == (), obj["kind"]
        assert satisfied(obj, live) == (obj["kind"] not in REWRITTEN), obj["kind"]


def established(crd: dict[str, Any]) -> bool:
    conditions = crd.get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def test_owned_of_custom_resources_and_finalizers(server: TestHost) -> None:
    crd = server.client.apply(CRD, manager="nidus")
    version, name = crd["metadata"]["resourceVersion"], CRD["metadata"]["labels"]["app.kubernetes.io/name"]
    watch = server.client.watch(
        crd["apiVersion"], crd["kind"], version, labels=f"app.kubernetes.io/name={name}", seconds=30
    )
    assert any(established(obj) for _, obj in watch)
    live = server.client.apply(THING, manager="nidus")
    assert owned(THING) == managed(live) and satisfied(THING, live)
    server.client.delete(CRD["apiVersion"], CRD["kind"], CRD["metadata"]["name"])
    held = server.client.apply(OWNED, manager="nidus")
    server.client.patch("v1", "ConfigMap", "owned", "default", {"metadata": {"finalizers": None}})
    server.client.delete("v1", "ConfigMap", "owned", "default")
    assert owned(OWNED) == managed(held)


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app", "image": "nginx:1.27"}]}}
    body = {"replicas": 2, "selector": SELECTOR, "template": template, **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": body,
    }


def test_replicas_written_through_scale_are_left_out(server: TestHost) -> None:
    wanted = deployment()
    live = server.client.apply(wanted, manager="nidus")
    assert left_out(live, wanted) == ()
    server.client.patch("apps/v1", "Deployment", "web", "default", {"spec": {"replicas": 5}}, subresource="scale")
    live = server.client.get("apps/v1", "Deployment", "web", "default") or {}
    assert left_out(live, wanted) == ("/spec/replicas",)
    again = server.client.apply(dict(request(wanted, layer(), live, "an autoscaler")), manager="nidus")
    assert again["spec"]["replicas"] == 5


def test_drift_names_who_wrote_a_field(server: TestHost) -> None:
    wanted = deployment()
    before = managed(server.client.apply(wanted, manager="nidus"))
    server.client.patch("apps/v1", "Deployment", "web", "default", {"spec": {"replicas": 3}})
    live = server.client.get("apps/v1", "Deployment", "web", "default") or {}
    found = drift.found(diff(wanted, live, None, owned(wanted), ()), live, before)
    assert [(one.path, one.before, one.after, who.operation) for one, who in found] == [
        ("spec.replicas", 3, 2, "Update")
    ]
    assert [who.operation for who in managers(live, "spec.replicas")] == ["Update"]


def test_an_ignored_field_that_is_still_ours_is_not_removed(server: TestHost) -> None:
    server.client.apply(deployment(minReadySeconds=7), manager="nidus")
    live = server.client.get("apps/v1", "Deployment", "web", "default") or {}
    rules = (IgnoreRule(kind="Deployment", pointers=("/spec/minReadySeconds",)),)
    wanted = deployment(minReadySeconds=1)
    sent = request(wanted, layer(ignore=rules), live)
    assert server.client.apply(copy.deepcopy(dict(sent)), manager="nidus")["spec"]["minReadySeconds"] == 7
    server.client.patch("apps/v1", "Deployment", "web", "default", {"spec": {"minReadySeconds": 9}})
    live = server.client.get("apps/v1", "Deployment", "web", "default") or {}
    assert paths.get(request(wanted, layer(ignore=rules), live), "spec.minReadySeconds") == MISSING
