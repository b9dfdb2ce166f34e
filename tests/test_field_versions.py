"""Field cases of API versions: what is not served is Failed and named, and an object is one at every version (21, 73, 74)."""

from typing import Any

import pytest

from reconciler.apply.object import Ground, execute
from reconciler.model import Change, FieldChange, ObjectRef, Observed, Plan, Revision, Target
from reconciler.plan import apart, render_text
from reconciler.plan.lines import Style
from reconciler.plan.mark import ref_of
from tests import shell
from tests.documents import crd
from tests.memory.server import Server
from tests.passes import Fleet, cluster, config_map, pack, profile
from tests.reviews import review

OLD = {
    "apiVersion": "policy/v1beta1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "old"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "old"}}},
}
TOLD = "the server serves PodDisruptionBudget at policy/v1, not at policy/v1beta1; write apiVersion: policy/v1"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


def files(*objects: dict[str, Any]) -> dict[str, str]:
    return {"p.yaml": profile(pack("base", config_map("one"), *objects)), "a.yaml": cluster("a")}


def pushed(fleet: Fleet, *objects: dict[str, Any]) -> None:
    fleet.push(files(*objects))
    fleet.run()


def test_73_a_version_that_is_not_served_is_failed_and_names_the_one_that_is() -> None:
    fleet = Fleet()
    pushed(fleet, OLD)
    layer = fleet.layer("a", "web/base")
    assert (layer.state, layer.message) == ("Failed", f"PodDisruptionBudget.policy/web/old: VersionNotServed: {TOLD}")
    assert fleet.condition("a", "Stalled").status == "True"
    assert fleet.names("a") == ["one"]


def test_the_plan_names_it_too() -> None:
    fleet = Fleet()
    pushed(fleet)
    fleet.git.commit(files(OLD))
    text = render_text.render(fleet.review(), Style())
    assert f"+ PodDisruptionBudget.policy/web/old  ({TOLD})" in text


def test_a_kind_that_kubernetes_removed_is_not_waited_for() -> None:
    fleet = Fleet()
    pushed(fleet, {"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "old"}})
    told = "Kubernetes serves no Ingress of extensions any more; write apiVersion: networking.k8s.io/v1"
    assert (fleet.layer("a", "web/base").state, told in fleet.layer("a", "web/base").message) == ("Failed", True)
    assert render_text.render(fleet.review(), Style()).count(told) == 1


def zones(*versions: str) -> dict[str, Any]:
    made = crd("Namespaced")
    rows = [{"name": one, "served": True, "storage": one == versions[-1], "schema": SCHEMA} for one in versions]
    return {**made, "spec": {**made["spec"], "versions": rows}}


def zone(version: str, region: str) -> dict[str, Any]:
    return {
        "apiVersion": f"zones.example/{version}",
        "kind": "Zone",
        "metadata": {"name": "eu"},
        "spec": {"region": region},
    }


def test_74_the_same_object_at_a_new_version_is_the_same_object() -> None:
    fleet = Fleet()
    pushed(fleet, zones("v1"), zone("v1", "north"))
    assert fleet.word("a") == "Ready", fleet.condition("a").message
    fleet.git.commit(files(zones("v1", "v2"), zone("v2", "south")))
    found = {one.ref.kind: one for one in fleet.plans()["a"].changes}["Zone"]
    assert (found.action, [(one.path, one.before, one.after) for one in found.fields]) == (
        "configure",
        [("spec.region", "north", "south")],
    )
    uid = fleet.nested["a"].objects("zones.example", "Zone")[0]["metadata"]["uid"]
    fleet.admit()
    fleet.run()
    live = fleet.nested["a"].objects("zones.example", "Zone")[0]
    assert (live["metadata"]["uid"], live["spec"]) == (uid, {"region": "south"})
    assert fleet.word("a") == "Ready", fleet.condition("a").message


def test_a_custom_version_that_nobody_brings_is_failed_and_may_still_come() -> None:
    fleet = Fleet()
    pushed(fleet, zones("v1"), zone("v9", "north"))
    for _ in range(2):
        fleet.queue.add("a")
        fleet.run()
    assert "serves Zone at zones.example/v1, not at zones.example/v9" in fleet.layer("a", "web/base").message
    assert (fleet.layer("a", "web/base").state, fleet.condition("a", "Stalled").status) == ("Failed", "False")


@pytest.mark.parametrize(("coming", "outcome"), [(True, "waiting"), (False, "failed")])
def test_a_version_that_is_not_served_is_waited_for_where_it_comes(coming: bool, outcome: str) -> None:
    server, target, sent = Server("a"), Target("local", "a"), zone("v9", "north")
    sent["metadata"] |= {"namespace": "web"}
    server.put(zones("v1"))
    ref = ref_of(sent)
    change = Change("create", target, ref, "web/base", desired=sent)
    ground = Ground(Observed(target, ref, None, unknown="read before", coming=coming), None)
    assert execute(change, shell.client(server), ground).outcome == outcome


# Long values


def test_of_long_values_the_first_difference_is_shown() -> None:
    def version(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "schema": {"description": "x" * 150}, "served": True, **more}

    old, new = [version("v1", storage=True)], [version("v1", storage=False), version("v2", storage=True)]
    path, before, after, more = apart.first("spec.versions", old, new)
    assert (path, before, after, more) == ("spec.versions[0].storage", True, False, 1)
    change = Change(
        "configure", Target("local"), ObjectRef("", "A", "", "a"), "x", fields=(FieldChange("spec.versions", old, new),)
    )
    page = render_text.render(review(Plan("a", Revision("main", "c"), (change,))), Style())
    assert page.splitlines()[5:6] == ["        spec.versions[0].storage: true -> false (and 1 more differences)"]


def test_of_long_texts_the_first_difference_is_shown() -> None:
    old, new = "a" * 200 + "b" * 10, "a" * 200 + "c" * 200
    before, after = apart.windows(old, new, 120)
    assert before == "…" + "a" * 20 + "b" * 10
    assert after.startswith("…" + "a" * 20 + "c") and len(after) == 120 and after.endswith("…")
    assert apart.windows("abc", "abd", 120) == ("abc", "abd")
