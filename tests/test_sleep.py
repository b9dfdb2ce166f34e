"""Whole passes over clusters that sleep: what goes, what stays, who decides, and what is said of it (O1-O5)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from reconciler.controller.sampler import charges
from reconciler.usage.days import Charged
from tests.histories.failing import in_background
from tests.memory.failures import answer, on
from tests.passes import HOME, START, Fleet, cluster, config_map, pack, profile

HOUR = 3600.0
NIGHT = 2 * HOUR  # after the start: when the schedule of these tests puts to sleep
MORNING = 10 * HOUR
ASLEEP = {"state": "Asleep"}
NOTES = {"loft.sh/paused", "loft.sh/paused-replicas", "loft.sh/paused-date"}


def cron(seconds: float) -> str:
    """Every day at this time after the start."""
    at = datetime.fromtimestamp(START + seconds + 60, UTC)
    return f"{at.minute} {at.hour} * * *"


def nights() -> dict[str, Any]:
    return {"schedule": [{"sleep": cron(NIGHT), "wake": cron(MORNING), "timezone": "UTC"}]}


def files(text: str = "one", **spec: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text=text)), pack("top", config_map("more", text=text)))
    return {"p.yaml": packs, "a.yaml": cluster("a", **spec)}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def standing(fleet: Fleet, **spec: Any) -> Fleet:
    """A cluster that is Ready, with its engine's pod and one of its tenant on the host."""
    fleet.push(files(**spec))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    pods(fleet)
    return fleet


def pods(fleet: Fleet) -> None:
    pod(fleet, "a-0", {"app": "vcluster", "release": "a"})
    pod(fleet, "web-x-web-x-a", {"vcluster.loft.sh/managed-by": "a"})


def pod(fleet: Fleet, name: str, labels: dict[str, str], namespace: str = "vcluster-a") -> None:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "c"}]}
    fleet.host.put({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def goes(fleet: Fleet, name: str = "a-0") -> None:
    """The kubelet of the host has ended the engine's pod; its watch wakes the cluster."""
    fleet.host.delete("", "Pod", "vcluster-a", name)
    fleet.queue.add("a")


def later(fleet: Fleet, seconds: float) -> None:
    """Time passes; what is due by then is done."""
    fleet.now = seconds
    fleet.run()


def named(fleet: Fleet, kind: str = "Pod", group: str = "") -> list[str]:
    return sorted(one["metadata"]["name"] for one in fleet.host.objects(group, kind, "vcluster-a"))


def written(fleet: Fleet) -> set[tuple[str, str]]:
    """Every object of the cluster on the host, and its record, as they were written last."""
    kinds = (("", "ConfigMap"), ("", "Pod"), ("", "Service"), ("apps", "StatefulSet"), ("", "ResourceQuota"))
    found = [one for group, kind in kinds for one in fleet.host.objects(group, kind)]
    return {(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in found}


def engine(fleet: Fleet) -> tuple[int, set[str]]:
    """The replicas of the engine, and which annotations of a pause it carries."""
    live = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert live is not None
    return live["spec"]["replicas"], NOTES & set(live["metadata"].get("annotations") or {})


def asleep(fleet: Fleet) -> bool:
    return engine(fleet) == (0, NOTES)


def awake(fleet: Fleet) -> bool:
    return engine(fleet) == (1, set())


def put_to_sleep(fleet: Fleet) -> None:
    fleet.push(files(sleep=ASLEEP))
    fleet.run()
    goes(fleet)
    fleet.run()


def slept(fleet: Fleet) -> dict[str, Any]:
    """What the status object says of the sleep."""
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fleet.reporter.clusters["a"].life.sleep)) or {}
    return told


def test_asleep_the_pods_are_gone_and_everything_else_stays(fleet: Fleet) -> None:
    standing(fleet)
    stays = {kind: named(fleet, kind) for kind in ("Service", "Secret", "ResourceQuota", "ConfigMap")}
    put_to_sleep(fleet)
    assert (asleep(fleet), named(fleet), fleet.word("a")) == (True, [], "Asleep")
    assert {kind: named(fleet, kind) for kind in stays} == stays
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is not None


def test_the_tenants_pods_wait_for_the_engine_to_go(fleet: Fleet) -> None:
    """The engine would take their going for its tenant's wish, and delete them inside too."""
    standing(fleet)
    fleet.push(files(sleep=ASLEEP))
    fleet.run()
    assert (asleep(fleet), named(fleet), fleet.word("a")) == (True, ["a-0", "web-x-web-x-a"], "Progressing")
    assert fleet.layer("a", "engine").message == "Pod/vcluster-a/a-0 still runs"
    goes(fleet)
    fleet.run()
    assert (named(fleet), fleet.word("a")) == ([], "Asleep")


def test_no_pod_of_its_namespace_stays_whatever_its_labels(fleet: Fleet) -> None:
    """What an engine's account makes without the engine's label would run on and cost nothing."""
    standing(fleet)
    for number, labels in enumerate(({}, {"app": "miner"}, {"vcluster.loft.sh/managed-by": "b"}, {"app": "vcluster"})):
        pod(fleet, f"odd-{number}", labels)
    put_to_sleep(fleet)
    assert (named(fleet), fleet.word("a")) == ([], "Asleep")


def test_a_tenants_pod_with_the_labels_of_the_engine_keeps_no_cluster_awake(fleet: Fleet) -> None:
    """The engine copies a tenant's labels to the host."""
    standing(fleet)
    pod(fleet, "copied", {"app": "vcluster", "release": "a", "vcluster.loft.sh/managed-by": "a"})
    put_to_sleep(fleet)
    assert (named(fleet), fleet.word("a")) == ([], "Asleep")


def test_pods_of_other_namespaces_are_left_alone(fleet: Fleet) -> None:
    standing(fleet)
    fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    pod(fleet, "far", {"vcluster.loft.sh/managed-by": "a"}, "other")
    put_to_sleep(fleet)
    assert [one["metadata"]["name"] for one in fleet.host.objects("", "Pod", "other")] == ["far"]


def test_in_a_namespace_that_is_not_ours_no_pod_goes(fleet: Fleet) -> None:
    """It was deleted and made again by somebody else: the name is no proof (D4)."""
    standing(fleet)
    fleet.push(files(sleep=ASLEEP))
    fleet.run()
    fleet.host.delete("", "Namespace", "", "vcluster-a")
    fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vcluster-a"}})
    pod(fleet, "theirs", {"vcluster.loft.sh/managed-by": "a"})
    fleet.queue.add("a")
    fleet.run()
    assert named(fleet) == ["theirs"]


def test_a_second_look_writes_nothing(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    before = written(fleet)
    for _ in range(3):
        fleet.queue.add("a")
        fleet.run()
    later(fleet, fleet.now + HOUR)
    assert written(fleet) == before


def test_awake_again_every_workload_is_as_before(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    assert charges(fleet.registry) == {"vcluster-a": Charged("a", {}, asleep=True)}
    fleet.push(files())
    fleet.run()
    assert charges(fleet.registry) == {"vcluster-a": Charged("a", {})}
    assert (awake(fleet), fleet.word("a")) == (True, "Ready")
    assert fleet.names("a")[:1] + fleet.names("a")[-1:] == ["greeting", "more"]


def test_sleep_is_no_alarm(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    ready, stalled = fleet.condition("a"), fleet.condition("a", "Stalled")
    assert (ready.status, ready.reason) == ("False", "Asleep")
    assert ready.message == "asleep by its file (spec.sleep.state: Asleep); no turn is scheduled"
    assert (stalled.status, fleet.condition("a", "Reconciling").status) == ("False", "False")
    assert {one.state for one in fleet.reporter.clusters["a"].layers} == {"Current", "Waiting"}
    assert fleet.layer("a", "web/base").message == "after it wakes"


def test_what_is_inside_is_not_called_while_it_sleeps(fleet: Fleet) -> None:
    """No watch, no connection, no breaker: nothing of it is there to answer."""
    standing(fleet)
    asked = fleet.nested["a"].core.storage.version
    fleet.down.add("a")
    put_to_sleep(fleet)
    later(fleet, fleet.now + HOUR)
    assert (fleet.word("a"), fleet.condition("a").reason) == ("Asleep", "Asleep")
    assert "a" in fleet.forgotten and "a" not in fleet.watched
    assert fleet.nested["a"].core.storage.version == asked


def test_a_push_while_it_sleeps_is_shown_and_applied_after_waking(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    quota = {"pods": 20}
    fleet.push(files("two", sleep=ASLEEP, quota=quota))
    shown = fleet.plans()["a"]
    assert {layer: why for layer, why in shown.unknown.items() if layer.startswith("web/")} == {
        "web/base": "after it wakes",
        "web/top": "after it wakes",
    }
    assert not fleet.review().clusters[0].failed
    fleet.run()
    assert (fleet.word("a"), asleep(fleet)) == ("Asleep", True)
    inside = fleet.nested["a"]
    assert inside.get("", "ConfigMap", "web", "greeting")["data"] == {"text": "one"}  # type: ignore[index]
    assert any("pods" in str(one["spec"]) for one in fleet.host.objects("", "ResourceQuota", "vcluster-a"))
    fleet.push(files("two", quota=quota))
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert inside.get("", "ConfigMap", "web", "greeting")["data"] == {"text": "two"}  # type: ignore[index]


def test_what_leaves_the_host_side_goes_while_it_sleeps(fleet: Fleet) -> None:
    standing(fleet, quota={"cpu": "2", "memory": "2Gi"})
    assert len(named(fleet, "ResourceQuota")) == 2
    put_to_sleep(fleet)
    assert (named(fleet, "ResourceQuota"), fleet.word("a")) == (["nidus-counts"], "Asleep")


def test_its_schedule_puts_it_to_sleep_and_wakes_it(fleet: Fleet) -> None:
    standing(fleet, sleep=nights())
    fleet.host.delete("", "Pod", "vcluster-a", "a-0")
    assert awake(fleet)
    later(fleet, NIGHT + 60)
    assert (asleep(fleet), fleet.word("a"), named(fleet)) == (True, "Asleep", [])
    assert (slept(fleet)["by"], slept(fleet)["asleep"]) == ("schedule", True)
    assert "wakes at" in fleet.condition("a").message
    later(fleet, MORNING + 60)
    assert (awake(fleet), fleet.word("a")) == (True, "Ready")


def test_a_turn_costs_few_requests() -> None:
    """With the host watched, as the controller does it: all passes of a turn together, without what watches ask for by the time and what
    threads of their own write whenever they come to it (statuses, Events, histories)."""
    fleet = Fleet(cached=True)
    standing(fleet, sleep=nights())
    costs = {}
    for turn, at in (("sleep", NIGHT + 60), ("wake", MORNING + 60)):
        if turn == "sleep":
            fleet.host.delete("", "Pod", "vcluster-a", "a-0")
        servers = [fleet.host, *fleet.nested.values()]
        before = [len(one.log) for one in servers]
        later(fleet, at)
        since = [call for one, begin in zip(servers, before, strict=True) for call in one.log[begin:]]
        calls = [call for call in since if not in_background(call)]
        asked = [
            call for call in calls if call.verb == "get" or call.writes or (call.verb, call.kind) == ("list", "Pod")
        ]
        costs[turn] = len(asked), sum(call.writes for call in calls)
    assert fleet.word("a") == "Ready"
    fleet.close()
    print(f"requests of a turn, and writes among them: {costs}")
    assert all(asked <= 20 and writes <= 8 for asked, writes in costs.values()), costs


def test_the_next_pass_is_at_the_next_turn_also_after_a_restart(fleet: Fleet) -> None:
    standing(fleet, sleep=nights())
    fleet.host.delete("", "Pod", "vcluster-a", "a-0")
    fleet.now = NIGHT - 30
    fleet.restart()
    fleet.run(seconds=0.0)
    due, _ = fleet.queue._due["a"]
    assert fleet.now < due <= NIGHT + 60
    assert awake(fleet)
    fleet.run(seconds=120.0)
    assert asleep(fleet)


def test_a_turn_missed_while_the_controller_was_down_is_made_up_once(fleet: Fleet) -> None:
    standing(fleet, sleep=nights())
    fleet.host.delete("", "Pod", "vcluster-a", "a-0")
    fleet.now = NIGHT + HOUR
    fleet.restart()
    fleet.run()
    assert (asleep(fleet), fleet.word("a")) == (True, "Asleep")
    before = written(fleet)
    fleet.restart()
    fleet.run()
    assert written(fleet) == before


@pytest.mark.parametrize("git", [True, False])
def test_a_restart_neither_wakes_nor_puts_to_sleep_again(fleet: Fleet, git: bool) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    live = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert live is not None
    fleet.now += HOUR
    fleet.restart(git=git)
    fleet.run()
    again = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert again is not None and again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert fleet.word("a") == "Asleep"


def test_a_request_puts_it_to_sleep_and_another_wakes_it(fleet: Fleet) -> None:
    standing(fleet)
    fleet.ask("sleep", "a")
    fleet.run()
    goes(fleet)
    fleet.run()
    assert (fleet.word("a"), slept(fleet)["why"]) == ("Asleep", "by request of tester")
    fleet.now += 2
    fleet.ask("wake", "a")
    fleet.run()
    assert (fleet.word("a"), awake(fleet)) == ("Ready", True)


def test_a_request_ends_at_the_next_turn_and_says_so(fleet: Fleet) -> None:
    standing(fleet, sleep=nights())
    fleet.ask("sleep", "a")
    fleet.run()
    goes(fleet)
    fleet.run()
    assert slept(fleet)["by"] == "request"
    later(fleet, NIGHT + 60)
    assert (slept(fleet)["by"], asleep(fleet)) == ("schedule", True)
    assert slept(fleet)["ended"].endswith("at the next turn of the schedule")
    later(fleet, MORNING + 60)
    assert awake(fleet)


def test_git_overrules_a_request(fleet: Fleet) -> None:
    standing(fleet, sleep={"state": "Awake"})
    fleet.ask("sleep", "a")
    fleet.run()
    assert (awake(fleet), fleet.word("a"), slept(fleet)["by"]) == (True, "Ready", "git")


def test_what_is_suspended_is_neither_woken_nor_put_to_sleep(fleet: Fleet) -> None:
    standing(fleet)
    fleet.push(files(sleep=ASLEEP, suspend={"reason": "moves"}))
    fleet.run()
    assert (awake(fleet), fleet.word("a")) == (True, "Suspended")


def test_who_resumes_it_by_hand_is_corrected(fleet: Fleet) -> None:
    """`vcluster resume` is drift: the way to wake it is a request or a commit."""
    standing(fleet)
    put_to_sleep(fleet)
    live = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert live is not None
    meta = {**live["metadata"], "annotations": {}}
    fleet.host.put({**live, "metadata": meta, "spec": {**live["spec"], "replicas": 1}}, manager="vcluster")
    fleet.queue.add("a")
    fleet.run()
    assert asleep(fleet)


def test_who_pauses_it_by_hand_is_corrected_and_leaves_no_note(fleet: Fleet) -> None:
    """Else the engine's own command would call a running cluster paused."""
    standing(fleet)
    live = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert live is not None
    notes = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "1", "loft.sh/paused-date": "2026-01-01T00:00:00Z"}
    meta = {**live["metadata"], "annotations": {**(live["metadata"].get("annotations") or {}), **notes}}
    fleet.host.put({**live, "metadata": meta, "spec": {**live["spec"], "replicas": 0}}, manager="vcluster")
    fleet.queue.add("a")
    fleet.run()
    fleet.queue.add("a")
    fleet.run()
    assert (awake(fleet), fleet.word("a")) == (True, "Ready")


def test_the_pods_of_its_tenant_need_no_approval_and_stay_out_of_the_inventory_once_it_wakes(fleet: Fleet) -> None:
    standing(fleet)
    for number in range(9):
        pod(fleet, f"web-{number}-x-web-x-a", {"vcluster.loft.sh/managed-by": "a"})
    put_to_sleep(fleet)
    assert (named(fleet), fleet.word("a")) == ([], "Asleep")
    fleet.push(files())
    fleet.run()
    state = fleet.state("a")
    assert state is not None and not [one for one in state.entries if one.ref.kind == "Pod"]


def test_a_pod_that_was_claimed_and_not_deleted_lives_when_it_wakes(fleet: Fleet) -> None:
    standing(fleet)
    fleet.host.fail(answer(403), on("delete", kind="Pod"), times=None)
    put_to_sleep(fleet)
    assert named(fleet) == ["web-x-web-x-a"]
    fleet.host.heal()
    fleet.push(files())
    fleet.run()
    assert (named(fleet), fleet.word("a")) == (["web-x-web-x-a"], "Ready")


def test_the_time_from_waking_to_ready_is_measured(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    fleet.push(files())
    fleet.run(passes=1)
    fleet.now += 7
    fleet.run()
    text = fleet.reporter.metrics.text().decode()
    assert "nidus_wake_seconds_count 1.0" in text
    assert 'nidus_cluster_asleep{cluster="a"} 0.0' in text
    state = fleet.state("a")
    assert state is not None and state.record.slept is None


def test_a_cluster_that_is_woken_is_not_called_unreachable(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    fleet.push(files())
    fleet.run(passes=1)
    assert (fleet.condition("a").status, fleet.condition("a").reason) != ("Unknown", "Unreachable")


def test_what_never_ran_is_not_recorded_as_running(fleet: Fleet) -> None:
    fleet.push(files(sleep=ASLEEP))
    fleet.run()
    state = fleet.state("a")
    assert state is not None and state.record.versions.engine == ""
    assert (fleet.word("a"), asleep(fleet)) == ("Asleep", True)


def test_waking_is_told_in_an_event(fleet: Fleet) -> None:
    standing(fleet)
    put_to_sleep(fleet)
    fleet.push(files())
    fleet.run()
    fleet.close()
    told = {one["reason"] for one in fleet.host.objects("events.k8s.io", "Event", HOME)}
    assert {"Asleep", "Waking", "Ready"} <= told


def test_a_sleeping_cluster_is_removed_as_any_other(fleet: Fleet) -> None:
    standing(fleet)
    fleet.push(files(sleep=ASLEEP, deletion={"policy": "Delete", "grace": "0s"}))
    fleet.run()
    goes(fleet)
    fleet.run()
    fleet.push({"p.yaml": files()["p.yaml"], "b.yaml": cluster("b")})
    fleet.run()
    assert fleet.state("a") is None
