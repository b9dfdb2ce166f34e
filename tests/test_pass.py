"""Passes on servers in memory: what one read, one kind or one target that fails may do to a cluster."""

import pytest

from reconciler.model import ObjectRef, replace
from tests.memory.failures import TIMEOUT, Call, answer, on
from tests.passes import Fleet, cluster, config_map, crd, pack, profile

DELETED = {"policy": "Delete", "grace": "0s"}
REPORTS = (("events.k8s.io", "events"), ("nidus.dev", "nestedclusters"), ("nidus.dev", "sources"))
ZONE = {"apiVersion": "zones.example/v1", "kind": "Zone", "metadata": {"name": "eu"}, "spec": {"region": "north"}}


def files(*packs: dict[str, object], names: str = "ab", **spec: object) -> dict[str, str]:
    """Clusters of one profile."""
    return {"p.yaml": profile(*packs), **{f"{name}.yaml": cluster(name, **spec) for name in names}}


def standing(*packs: dict[str, object], **spec: object) -> Fleet:
    fleet = Fleet()
    fleet.push(files(*packs, **spec))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    return fleet


def test_a_push_becomes_ready_and_a_second_look_writes_nothing() -> None:
    fleet = standing(pack("base", config_map("one", text="a")))
    assert fleet.names("a") == ["one"]
    fleet.host.log.clear()
    fleet.nested["a"].log.clear()
    fleet.queue.add("a")
    fleet.run(seconds=0.0)
    assert not [
        call
        for call in (*fleet.host.log, *fleet.nested["a"].log)
        if call.writes and call.kind not in ("NestedCluster", "Event")
    ]


@pytest.mark.parametrize("cached", [False, True])
def test_a_restart_changes_nothing(cached: bool) -> None:
    fleet = Fleet(cached=cached)
    fleet.push(files(pack("base", config_map("one"))))
    fleet.run()
    servers = {"host": fleet.host, **fleet.nested}
    fleet.reporter.histories.close()  # what was noted of revisions is written at a stop
    before = {name: server.core.storage.snapshot().objects for name, server in servers.items()}
    fleet.restart()
    fleet.run(seconds=400.0)
    assert (fleet.word("a"), fleet.word("b")) == ("Ready", "Ready")
    for name, server in servers.items():
        now = server.core.storage.snapshot().objects
        assert {kind: now[kind] for kind in now if kind not in REPORTS} == {
            kind: before[name][kind] for kind in before[name] if kind not in REPORTS
        }


def test_the_cache_is_never_behind_what_a_pass_wrote() -> None:
    fleet = Fleet(cached=True)
    fleet.push(files(pack("base", config_map("one")), names="a"))
    fleet.workers.once("a")
    written = fleet.host.get("", "Namespace", "", "vcluster-a")
    assert written is not None and fleet.cache is not None
    assert fleet.cache.get(ObjectRef("", "Namespace", "", "vcluster-a")) == written  # before any watch says so


def test_what_a_watch_says_wakes_its_cluster() -> None:
    """A cached host is not asked; what somebody does to it is heard and put back."""
    fleet = Fleet(cached=True)
    fleet.push(files(pack("base", config_map("one")), names="a"))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    fleet.host.delete("", "Service", "vcluster-a", "a")
    fleet.run(seconds=1.0)
    assert fleet.host.get("", "Service", "vcluster-a", "a") is not None


# Removal


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_removal_is_over_only_on_proof(policy: str, nth: int) -> None:
    packs = [pack("base", config_map("one"))]
    fleet = standing(*packs, deletion={**DELETED, "policy": policy})
    fleet.push(files(*packs, names="b"))
    fleet.host.fail(
        answer(500), lambda call: call.verb in ("get", "list") and "vcluster-a" in call.ref, nth=nth, times=4
    )
    for _ in range(3):
        fleet.run(passes=1)
        state = fleet.state("a")
        engine = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
        assert (
            state is not None and state.record.tombstone is not None and not state.record.tombstone.done
        ) or not engine
        assert fleet.forgotten == [] or not engine
    fleet.run(seconds=120.0)
    assert fleet.forgotten == ["a"]
    state = fleet.state("a")
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    assert (fleet.host.get("", "Namespace", "", "vcluster-a") is None) == (policy == "Delete")
    assert (state is None) == (policy == "Delete")


# Scope


def test_an_object_of_a_cluster_scoped_kind_is_one_object_whenever_its_kind_is_known() -> None:
    fleet = standing(pack("base", crd(), ZONE, config_map("one")))
    for _ in range(3):
        fleet.queue.add("a")
        fleet.run()
    assert fleet.names("a", "zones.example", "Zone") == ["eu"]
    calls = [call for call in fleet.nested["a"].log if call.kind == "Zone" and call.writes]
    assert [(call.verb, call.namespace) for call in calls if call.status < 300] == [("apply", "")]
    state = fleet.state("a")
    assert state is not None
    refs = [entry.ref for entry in state.entries if entry.ref.kind == "Zone"]
    assert refs == [ObjectRef("zones.example", "Zone", "", "eu")]


@pytest.mark.parametrize(("scope", "home"), [("Cluster", ""), ("Namespaced", "web")])
def test_an_object_waits_until_somebody_says_where_its_kind_lives(scope: str, home: str) -> None:
    fleet = Fleet()
    fleet.push(files(pack("base", ZONE, config_map("one")), names="a"))
    fleet.run()
    assert (fleet.names("a"), fleet.layer("a", "web/base").state) == (["one"], "InProgress")
    state = fleet.state("a")
    assert state is not None and "Zone" not in {entry.ref.kind for entry in state.entries}
    fleet.nested["a"].put(crd(scope))
    fleet.run()
    state = fleet.state("a")
    assert state is not None
    refs = [entry.ref for entry in state.entries if entry.ref.kind == "Zone"]
    assert refs == [ObjectRef("zones.example", "Zone", home, "eu")]
    assert [one["metadata"].get("namespace", "") for one in fleet.nested["a"].objects("zones.example", "Zone")] == [
        home
    ]
    assert fleet.word("a") == "Ready", fleet.condition("a")


def test_an_entry_that_names_a_namespace_its_kind_does_not_have_deletes_nothing() -> None:
    packs = [pack("base", crd(), config_map("one")), pack("zones", ZONE)]
    fleet = standing(*packs)
    state = fleet.state("a")
    assert state is not None
    wrong = [replace(one, ref=replace(one.ref, namespace="web")) for one in state.entries if one.ref.kind == "Zone"]
    fleet.registry.keep(fleet.store.write(replace(state, entries=(*state.entries, *wrong))))
    for _ in range(3):
        fleet.queue.add("a")
        fleet.run()
    assert fleet.names("a", "zones.example", "Zone") == ["eu"]
    assert not [call for call in fleet.nested["a"].log if call.verb == "delete"]


# One thing fails


def test_a_gate_on_a_kind_that_is_not_installed_is_the_layers_state() -> None:
    gate = {"condition": {"kind": "Zone", "group": "zones.example", "name": "eu", "type": "Ready"}}
    fleet = Fleet()
    fleet.push(files(pack("base", config_map("one"), ready={"checks": [gate]}), names="a"))
    fleet.run()
    assert fleet.layer("a", "web/base").state == "InProgress"
    assert "Zone/eu does not exist yet" in fleet.layer("a", "web/base").message
    state = fleet.state("a")
    assert state is not None and {entry.state for entry in state.entries} == {"owned"}


def test_what_was_done_is_known_whatever_fails_after_it() -> None:
    fleet = Fleet()

    def cut(call: Call) -> None:
        if call.verb == "apply" and call.name == "one":
            fleet.down.add("a")

    fleet.push(files(pack("base", config_map("one")), pack("next", config_map("two")), names="a"))
    fleet.run(passes=3)
    fleet.nested["a"].choosers.append(cut)
    fleet.run(passes=1)
    state = fleet.state("a")
    assert state is not None
    assert {entry.ref.name: entry.state for entry in state.entries if entry.target.nested}["one"] == "owned"
    fleet.nested["a"].heal()
    fleet.down.clear()
    fleet.run()
    assert fleet.word("a") == "Ready"


@pytest.mark.parametrize("after", [1, 7], ids=["while it is gathered", "while it is applied"])
def test_a_stop_ends_a_pass_after_the_objects_in_flight_and_confirms_them(after: int) -> None:
    """The process was told to end: what was sent is on record, nothing else is sent, and no report calls it a failure."""
    fleet = standing(pack("base", config_map("one")), names="a")
    many = [config_map(f"m{number:02}") for number in range(60)]
    calls = 0

    def end(call: Call) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            fleet.queue.close()

    fleet.nested["a"].choosers.append(end)
    fleet.push(files(pack("base", config_map("one"), *many), names="a"))
    fleet.workers.once("a")
    made = set(fleet.names("a")) - {"one"}
    assert len(made) < 20 and bool(made) == (after > 1)
    state = fleet.state("a")
    assert state is not None
    assert {one.ref.name for one in state.entries if one.ref.kind == "ConfigMap" and one.state == "owned"} == {
        "one",
        *made,
    }
    assert fleet.word("a") == "Ready"  # nothing is told of a pass that did not end
    fleet.nested["a"].heal()
    fleet.restart()
    fleet.run()
    assert len(fleet.names("a")) == 61 and fleet.word("a") == "Ready"


def test_one_failed_read_of_the_host_is_tried_again_within_seconds() -> None:
    fleet = standing(pack("base", config_map("one")))
    fleet.push(files(pack("base", config_map("two"))))
    fleet.host.fail(answer(500), on("get", name="vcluster-a"))
    fleet.run(seconds=5.0)
    assert fleet.names("a") == ["two"]


def test_a_bug_in_one_pass_is_that_clusters_failure() -> None:
    fleet = standing(pack("base", config_map("one")))
    fleet.bugs.add("a")
    fleet.queue.add("a")
    fleet.queue.add("b")
    fleet.run(seconds=0.0)
    assert fleet.word("a") == "Degraded"
    assert fleet.word("b") == "Ready"
    fleet.bugs.clear()
    fleet.run(seconds=20.0)
    assert fleet.word("a") == "Ready"


def test_a_bug_after_a_pass_is_that_clusters_failure_too() -> None:
    """Reporting and watching stand outside the pass, and inside the border."""
    fleet = standing(pack("base", config_map("one")))
    fleet.unwatchable.add("a")
    fleet.queue.add("a")
    fleet.queue.add("b")
    fleet.run(seconds=0.0)
    assert fleet.word("b") == "Ready"
    fleet.unwatchable.clear()
    fleet.push(files(pack("base", config_map("two"))))
    fleet.run(seconds=20.0)
    assert fleet.names("a") == ["two"]


# Unreachable


def test_a_cluster_that_does_not_answer_is_unknown_and_says_why() -> None:
    fleet = standing(pack("base", config_map("one")))
    fleet.down.add("a")
    fleet.queue.add("a")
    fleet.run(seconds=0.0)
    ready = fleet.condition("a")
    assert (ready.status, ready.reason, ready.message) == ("Unknown", "Unreachable", "a refused the connection")
    assert fleet.word("a") == "Degraded"
    assert fleet.layer("a", "web/base").state == "Unknown"
    fleet.down.clear()
    fleet.run(seconds=20.0)
    assert (fleet.word("a"), fleet.condition("a").status) == ("Ready", "True")


@pytest.mark.parametrize("told", ["by its pod", "by its StatefulSet"])
def test_an_engine_that_turns_unready_is_unreachable_without_a_push(told: str) -> None:
    """The cache of the host hears it; nobody pushes, and no timer is due."""
    fleet = Fleet(cached=True)
    fleet.push(files(pack("base", config_map("one"))))
    fleet.run()
    fleet.host.put(engine_pod("a-0"))
    fleet.run(seconds=0.0)
    assert fleet.word("a") == "Ready", fleet.condition("a")
    if told == "by its pod":
        fleet.down.add("a")
        fleet.host.put(engine_pod("a-0", ready="False"), subresource="status")
    else:
        engine = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") or {}
        status = {**engine["status"], "readyReplicas": 0, "availableReplicas": 0}
        fleet.host.put({**engine, "status": status}, manager="kube-controller-manager", subresource="status")
    fleet.run(passes=1, seconds=0.0)
    ready = fleet.condition("a")
    assert (ready.status, ready.reason) == ("Unknown", "Unreachable")
    assert fleet.word("b") == "Ready"


@pytest.mark.parametrize("name", ["web-0-x-default-x-a", "b-0", "a-x"])
def test_a_synced_pod_with_the_labels_of_an_engine_wakes_nobody(name: str) -> None:
    fleet = Fleet(cached=True)
    fleet.push(files(pack("base", config_map("one"))))
    fleet.run()
    fleet.host.put(engine_pod(name))
    fleet.look()
    assert fleet.queue.take(0.0) is None


def engine_pod(name: str, ready: str = "True") -> dict[str, object]:
    """A pod with the labels of an engine's chart, in the namespace of `a`."""
    meta = {"name": name, "namespace": "vcluster-a", "labels": {"app": "vcluster", "release": "a"}}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


def test_a_server_that_hangs_is_asked_once_in_a_pass_and_shares_a_quarter_of_the_workers() -> None:
    fleet = standing(pack("base", config_map("one"), config_map("two")))
    inside = fleet.nested["a"]
    inside.log.clear()
    rule = inside.fail(TIMEOUT, times=None)
    fleet.queue.add("a")
    fleet.run(seconds=0.0)
    assert len(inside.log) == 1
    assert fleet.condition("a").reason == "Unreachable"
    fleet.queue.add("a")
    fleet.queue.unanswered("c", True)
    fleet.queue.unanswered("d", True)
    fleet.queue.add("c")
    fleet.queue.add("d")
    assert [fleet.queue.take(0.0) for _ in range(3)] == ["a", "c", None]
    fleet.queue.done("a")
    fleet.queue.done("c")
    inside.heal(rule)
    fleet.queue.add("a")
    fleet.run(seconds=20.0)
    assert (fleet.word("a"), fleet.condition("a").reason) == ("Ready", "Ready")


def test_looks_that_only_a_human_can_end_come_after_those_that_are_asked_for() -> None:
    fleet = standing(pack("base", config_map("greeting", text="one")))
    refused = on("apply", kind="ConfigMap", name="greeting", dry_run=False)
    fleet.nested["a"].fail(answer(422, "Invalid"), refused, times=None)
    fleet.push(files(pack("base", config_map("greeting", text="two"))))
    fleet.run(seconds=2.0)
    assert fleet.condition("a", "Stalled").reason == "ApplyFailed"
    fleet.queue.add("before")  # every fourth key is taken of the bulk, whatever is asked for
    assert fleet.queue.take(0.0) == "before"
    fleet.now += 60.0
    fleet.queue.add_after("an event", 0.0)
    assert [fleet.queue.take(0.0), fleet.queue.take(0.0)] == ["an event", "a"]
