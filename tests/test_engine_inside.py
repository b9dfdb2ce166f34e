"""What the engine does inside a nested cluster to objects of ours (R4): it makes Services anew, and levels namespaces."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.model import Change, Observed
from reconciler.plan.compute import compute
from reconciler.plan.mark import ref_of
from tests.memory.actors import ENFORCE
from tests.memory.failures import Call
from tests.passes import Fleet, cluster, pack, profile
from tests.server_model import HOST, NESTED, NONCE, SALT, Server, bundle, execute, layer, plan, wanted

WEB = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}


def service(name: str = "a", notes: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "web", **({"annotations": notes} if notes else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**WEB, **spec}}


def files(*objects: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"a.yaml": cluster("a"), "web.yaml": profile(pack("base", *objects, **more))}


def charted(obj: dict[str, Any]) -> dict[str, Any]:
    """A chart that makes this object: what a repository itself says is refused sooner."""
    chart = {
        "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        "chart/templates/a.yaml": json.dumps(obj),
    }
    app = {"name": "app", "namespace": "web", "helm": {"chart": {"path": "chart"}}}
    return {"a.yaml": cluster("a"), "web.yaml": profile(app), **chart}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def live(fleet: Fleet, kind: str, name: str = "a", namespace: str = "web") -> dict[str, Any]:
    found = fleet.nested["a"].get("", kind, namespace, name)
    assert found is not None
    return found


def looks(fleet: Fleet) -> int:
    """The writes of one more look inside."""
    since = len(fleet.nested["a"].log)
    fleet.queue.add("a")
    fleet.run()
    return sum(one.writes for one in fleet.nested["a"].log[since:])


def test_a_service_that_the_engine_made_anew_is_ours_and_stays_as_in_git(fleet: Fleet) -> None:
    """Before: its new UID made it somebody else's, and the cluster was Held for ever."""
    fixed = service("fixed", clusterIP="10.96.0.77")
    fixed["metadata"]["resourceVersion"] = "1843"  # as exported: before, the server refused whatever was based on it
    fleet.push(files(service(), service("headless", clusterIP="None"), fixed))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    assert {live(fleet, "Service", name)["spec"]["clusterIP"][:8] for name in ("a", "fixed")} == {"10.97.0."}
    managers = {one["manager"] for one in live(fleet, "Service")["metadata"]["managedFields"]}
    assert managers == {"vcluster", "nidus"}
    assert looks(fleet) == 0

    other = [{"name": "http", "port": 81, "protocol": "TCP", "targetPort": 8080}]
    fleet.push(files(service(ports=other), service("headless", clusterIP="None")))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    assert [one["port"] for one in live(fleet, "Service")["spec"]["ports"]] == [81]
    assert fleet.names("a", kind="Service") == ["a", "headless"]

    edited = live(fleet, "Service")
    fleet.nested["a"].put({**edited, "spec": {**edited["spec"], "selector": {"app": "other"}}}, manager="kubectl-edit")
    looks(fleet)
    assert live(fleet, "Service")["spec"]["selector"] == {"app": "web"}
    assert looks(fleet) == 0


def test_it_may_be_made_anew_at_any_time(fleet: Fleet) -> None:
    fleet.push(files(service(notes={"note": "x"})))
    fleet.run()
    found = live(fleet, "Service")
    fleet.nested["a"].delete("", "Service", "web", "a")
    meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    spec = {**found["spec"], "clusterIP": "10.97.0.99", "clusterIPs": ["10.97.0.99"]}
    fleet.nested["a"].put({**found, "metadata": meta, "spec": spec}, manager="vcluster")
    fleet.push(files(service()))  # meanwhile the annotation leaves Git
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert "note" not in live(fleet, "Service")["metadata"]["annotations"]
    assert looks(fleet) == 0
    fleet.push(files())
    fleet.run()
    assert fleet.names("a", kind="Service") == []


@pytest.mark.parametrize("theirs", [False, True])
def test_it_may_be_absent_for_a_moment_while_it_is_made_anew(fleet: Fleet, theirs: bool) -> None:
    """Read between the engine's deletion and its creation. Before: our create gave it back, and it was never ours again."""
    more = {"name": "more", "port": 81, "protocol": "TCP", "targetPort": 8081}
    fleet.push(files(service(ports=[*WEB["ports"], more])))
    fleet.run()
    inside, found = fleet.nested["a"], live(fleet, "Service")
    inside.delete("", "Service", "web", "a")
    meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    if theirs:
        meta["annotations"] = {"inside.nidus.dev/nonce": "another"}
    made = list[str]()

    def anew(call: Call) -> None:
        if call.verb == "apply" and call.name == "a" and not call.dry_run and not made:
            made.append(inside.put({**found, "metadata": meta}, manager="vcluster")["metadata"]["uid"])

    inside.choosers.append(anew)
    fleet.push(files(service()))
    fleet.run()
    looks(fleet)
    assert made and live(fleet, "Service")["metadata"]["uid"] == made[0]
    ports = [one["port"] for one in live(fleet, "Service")["spec"]["ports"]]
    assert (fleet.word("a"), ports) == (("Held", [80, 81]) if theirs else ("Ready", [80])), fleet.condition("a")
    assert looks(fleet) == 0


@pytest.mark.parametrize("drift", ["correct", "report", "ignore"])
def test_a_commit_to_a_service_that_was_made_anew_is_no_drift(fleet: Fleet, drift: str) -> None:
    """All of it is the engine's then, and nobody edited anything."""
    fleet.push(files(service(), drift=drift))
    fleet.run()
    found = live(fleet, "Service")
    fleet.nested["a"].delete("", "Service", "web", "a")
    meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    fleet.nested["a"].put({**found, "metadata": meta}, manager="vcluster")
    fleet.push(files(service(selector={"app": "other"}), drift=drift))
    fleet.run()
    assert live(fleet, "Service")["spec"]["selector"] == {"app": "other"} and fleet.word("a") == "Ready"
    assert looks(fleet) == 0
    edited = live(fleet, "Service")
    fleet.nested["a"].put({**edited, "spec": {**edited["spec"], "selector": {"app": "x"}}}, manager="kubectl-edit")
    assert (looks(fleet) == 0) is (drift != "correct")


def test_a_service_that_leaves_git_before_the_next_look_is_deleted_or_kept_as_it_asks(fleet: Fleet) -> None:
    keep = {"helm.sh/resource-policy": "keep"}
    fleet.push(files(service(), service("kept", notes=keep)))
    fleet.run()
    for name in ("a", "kept"):
        found = live(fleet, "Service", name)
        fleet.nested["a"].delete("", "Service", "web", name)
        meta = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
        fleet.nested["a"].put({**found, "metadata": meta}, manager="vcluster")
    fleet.push(files())
    fleet.run()
    assert fleet.names("a", kind="Service") == ["kept"]


def test_the_level_of_a_namespace_is_the_engines_whatever_a_chart_says(fleet: Fleet) -> None:
    """Before: each side put its value back for ever."""
    level = ENFORCE.partition("/")[0]
    labels = {ENFORCE: "privileged", f"{level}/warn": "privileged", f"{level}/audit": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "own", "labels": labels}}
    fleet.push(charted(space))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    found = live(fleet, "Namespace", "own", "")["metadata"]["labels"]
    assert (found[ENFORCE], found[f"{level}/warn"], found[f"{level}/audit"]) == ("baseline", "baseline", "restricted")
    assert looks(fleet) == 0
    told = fleet.layer("a", "web/app").message
    assert f'Namespace/own: metadata.labels."{ENFORCE}" is left to the engine, which sets it' in told
    labels[f"{level}/audit"] = "baseline"
    fleet.push(charted(space))
    [change] = [one for one in fleet.plans()["a"].changes if one.ref.name == "own"]
    assert [one.path for one in change.fields] == [f'metadata.labels."{level}/audit"']
    assert f'metadata.labels."{ENFORCE}" is left to the engine, which sets it' in change.flags
    fleet.run()
    assert looks(fleet) == 0


def remade(obj: dict[str, Any], target: Any = NESTED, **metadata: Any) -> Change:
    """The change of an object that somebody deleted and made anew with all its labels, as `metadata` says."""
    one = layer("web", target)
    desired, server = [wanted(one, obj)], Server()
    inventory = execute(server, plan(server, desired))
    key = (target, ref_of(obj))
    written = [{"manager": "vcluster", "operation": "Update"}]
    anew = server.objects[key]["metadata"] | {"uid": "other", "managedFields": written} | metadata
    seen = Observed(*key, server.objects[key] | {"metadata": anew})
    return compute(bundle(one), desired, {key: seen}, inventory, salt=SALT, unknown={}, nonce=NONCE).changes[0]


NOTE = {"inside.nidus.dev/nonce": NONCE}
OURS = {"inside.nidus.dev/managed-by": "nidus", "inside.nidus.dev/cluster": "team-a"}


@pytest.mark.parametrize(
    "made",
    [
        lambda: remade(service(), annotations={}),
        lambda: remade(service(), annotations={"inside.nidus.dev/nonce": "another"}),
        lambda: remade(service(), labels={}),
        lambda: remade(service(), labels=OURS | {"inside.nidus.dev/cluster": "team-b"}),
        lambda: remade(service(), managedFields=[{"manager": "kubectl-create", "operation": "Update"}]),
        lambda: remade(
            service(), managedFields=[{"manager": "vcluster", "operation": "Update", "subresource": "status"}]
        ),
        lambda: remade(service(), managedFields=[{"manager": "vcluster", "operation": "Apply"}]),
        lambda: remade(service(), HOST),
        lambda: remade({**service(), "kind": "ConfigMap"}),
        lambda: remade({**service(), "kind": "PersistentVolumeClaim"}),
        lambda: remade({**service(), "apiVersion": "serving.knative.dev/v1"}),
    ],
)
def test_nothing_else_with_another_uid_is_ours(made: Callable[[], Change]) -> None:
    assert remade(service()).action != "hold"
    change = made()
    assert (change.action, change.reason, change.desired) == ("hold", "NotOwner", None)
