"""Hooks of charts, as Helm runs them: order, once for each content, delete policies, failures, restarts (K7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import yaml

from reconciler.plan import render_text
from reconciler.plan.lines import Style
from tests.histories.failing import Killed, in_background
from tests.memory.failures import Call, Failure
from tests.passes import Fleet, cluster, profile

Object = dict[str, Any]
LAYER = "web/app"


def hook(
    name: str,
    events: str,
    *,
    kind: str = "Job",
    weight: int | None = None,
    delete: str = "",
    image: str = "m:1",
    **spec: Any,
) -> Object:
    notes = {"helm.sh/hook": events}
    notes |= {"helm.sh/hook-weight": str(weight)} if weight is not None else {}
    notes |= {"helm.sh/hook-delete-policy": delete} if delete else {}
    metadata = {"name": name, "annotations": notes}
    if kind == "ConfigMap":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"a": image}}
    pod = {"restartPolicy": "Never", "containers": [{"name": "m", "image": image}]}
    return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": {"template": {"spec": pod}, **spec}}


GONE_AT_ONCE = {"policy": "Delete", "grace": "0s"}


def files(
    *templates: Object, values: str = "1", deletion: Mapping[str, str] = GONE_AT_ONCE, **helm: Any
) -> dict[str, str]:
    """A profile of one chart: a ConfigMap `app` and these hooks."""
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"text": values}}
    pack = {
        "name": "app",
        "namespace": "web",
        "helm": {"chart": {"path": "chart"}, **helm},
        "ready": {"timeout": "5m"},
    }
    after = {
        "name": "next",
        "namespace": "web",
        "manifests": {"objects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "next"}}]},
    }
    return {
        "p.yaml": profile(pack, after),
        "a.yaml": cluster("a", deletion=deletion, namespaces=[{"name": "web"}]),
        "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        **{f"chart/templates/{at:02}.yaml": yaml.safe_dump(one) for at, one in enumerate([own, *templates])},
    }


class Cluster:
    """One cluster of one chart; `wrote` are the writes for it, in their order."""

    def __init__(self, *templates: Object, **more: Any) -> None:
        self.fleet = Fleet()
        self.wrote: list[str] = []
        self.push(*templates, **more)

    def push(self, *templates: Object, **more: Any) -> None:
        self.fleet.push(files(*templates, **more))
        self.run()

    def run(self) -> None:
        self.fleet.run(seconds=5.0)
        self.listen()

    def look(self) -> None:
        self.fleet.queue.add("a")
        self.run()

    def listen(self) -> None:
        for server in (self.fleet.host, self.fleet.nested["a"]):
            if self._hear not in server.choosers:
                server.choosers.append(self._hear)

    def _hear(self, call: Call) -> Failure | None:
        if call.writes and call.kind not in ("Event", "NestedCluster", "Source"):
            self.wrote.append(f"{'-' if call.verb == 'delete' else '+'}{call.name}")
        return None

    def end(self, name: str, how: str = "Complete") -> None:
        """The Job ends, and the cluster hears of it."""
        self.status(name, how)
        self.look()

    def status(self, name: str, how: str) -> None:
        server = self.fleet.nested["a"]
        live = server.get("batch", "Job", "web", name)
        assert live is not None, f"{name} is not there"
        found = {"type": how, "status": "True", "reason": "X", "message": "the machine is on fire"}
        status = {"startTime": "2026-01-01T00:00:00Z", "conditions": [found]}
        server.put({**live, "status": status}, manager="kube-controller-manager", subresource="status")

    def names(self) -> list[str]:
        return sorted(
            self.fleet.names("a", "batch", "Job") + [one for one in self.fleet.names("a") if "kube" not in one]
        )

    @property
    def layer(self) -> Any:
        return self.fleet.layer("a", LAYER)


def test_hooks_run_before_and_after_in_the_order_of_helm_and_once() -> None:
    one = Cluster(
        hook("late", "pre-install", weight=5),
        hook("early", "pre-install", weight=-5),
        hook("map", "pre-install", kind="ConfigMap", weight=-5),
        hook("after", "post-install"),
        hook("up", "pre-upgrade"),
        hook("test", "test"),
        hook("back", "pre-rollback"),
    )
    assert one.names() == ["early", "map"], one.layer.message
    assert (one.layer.state, one.fleet.word("a")) == ("InProgress", "Provisioning"), one.layer.message
    assert "pre-install hook Job.batch/web/early" in one.layer.message
    one.end("early")
    assert one.names() == ["early", "late", "map"]
    one.end("late")
    assert one.names() == ["after", "app", "early", "late", "map"]
    one.end("after")
    assert one.fleet.word("a") == "Ready", one.fleet.condition("a").message
    assert one.names() == ["after", "app", "early", "late", "map", "next"]
    one.wrote.clear()
    one.look()
    assert one.wrote == []


def test_an_upgrade_runs_the_hooks_of_upgrades_and_makes_them_anew() -> None:
    jobs = hook("in", "pre-install"), hook("up", "pre-upgrade,post-upgrade")
    one = Cluster(*jobs)
    one.end("in")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "in", "next"])
    one.push(*jobs, values="2")
    assert (one.layer.state, one.fleet.nested["a"].get("", "ConfigMap", "web", "app")["data"]) == (
        "InProgress",
        {"text": "1"},
    )
    first = one.fleet.nested["a"].get("batch", "Job", "web", "up")["metadata"]["uid"]
    one.end("up")
    assert one.fleet.nested["a"].get("", "ConfigMap", "web", "app")["data"] == {"text": "2"}
    second = one.fleet.nested["a"].get("batch", "Job", "web", "up")["metadata"]["uid"]
    assert (one.layer.state, first != second) == ("InProgress", True)
    one.end("up")
    assert one.fleet.word("a") == "Ready", one.fleet.condition("a").message
    one.push(*jobs, values="1")  # back to the content of before, which is one more upgrade
    assert (one.layer.state, one.names()) == ("InProgress", ["app", "in", "next", "up"])
    assert one.fleet.nested["a"].get("batch", "Job", "web", "up")["metadata"]["uid"] != second


def test_what_ran_and_is_gone_is_not_run_again() -> None:
    one = Cluster(hook("in", "pre-install"))
    one.end("in")
    one.fleet.nested["a"].delete("batch", "Job", "web", "in")
    one.look()
    one.fleet.restart()
    one.look()
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "next"])
    assert not any(entry.ref.kind == "Job" for entry in one.fleet.state("a").entries)


@pytest.mark.parametrize(
    ("policy", "how", "stays"),
    [
        ("", "Complete", True),
        ("hook-succeeded", "Complete", False),
        ("hook-failed", "Complete", True),
        ("hook-succeeded,hook-failed", "Complete", False),
        ("", "Failed", True),
        ("hook-succeeded", "Failed", True),
        ("hook-failed", "Failed", False),
        ("before-hook-creation, hook-failed", "Failed", False),
    ],
)
def test_delete_policies_are_those_of_helm(policy: str, how: str, stays: bool) -> None:
    one = Cluster(hook("in", "pre-install", delete=policy))
    one.end("in", how)
    one.fleet.restart()
    one.look()
    assert ("in" in one.names()) == stays
    assert ("app" in one.names()) == (how == "Complete")
    assert (one.layer.state, one.fleet.word("a")) == (
        ("Current", "Ready") if how == "Complete" else ("Failed", "Degraded")
    )


def test_a_failed_hook_stops_its_layer_with_the_reason_until_the_content_changes() -> None:
    jobs = hook("first", "pre-install", kind="ConfigMap", weight=-1, delete="hook-succeeded"), hook("in", "pre-install")
    one = Cluster(*jobs, hook("never", "pre-install", weight=3))
    one.end("in", "Failed")
    assert (one.layer.state, one.names()) == ("Failed", ["in"])
    assert "pre-install hook Job.batch/web/in" in one.layer.message
    assert "the machine is on fire" in one.layer.message
    assert "first" not in one.fleet.names("a")  # it succeeded, and goes as Helm lets it go
    one.look()
    assert one.names() == ["in"]
    one.push(*jobs[:1], hook("in", "pre-install", image="m:2"))
    assert (one.layer.state, one.names()) == ("InProgress", ["first", "in"])
    one.end("in")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "in", "next"])


def test_a_hook_that_hangs_fails_after_the_timeout_of_its_pack_and_may_end_later() -> None:
    one = Cluster(hook("in", "pre-install"))
    one.fleet.now += 400.0
    one.look()
    assert one.layer.state == "Failed"
    assert "not complete after 300 s" in one.layer.message
    one.end("in")
    assert one.fleet.word("a") == "Ready"


def test_the_deadline_wakes_the_cluster() -> None:
    one = Cluster(hook("in", "pre-install"))
    assert one.layer.state == "InProgress"
    one.fleet.run(seconds=303.0)
    assert one.layer.state == "Failed"


def test_a_job_that_its_ttl_removed_has_ended() -> None:
    one = Cluster(hook("in", "pre-install", ttlSecondsAfterFinished=1))
    one.fleet.nested["a"].delete("batch", "Job", "web", "in")
    one.look()
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "next"])


def test_a_running_hook_that_somebody_deletes_runs_again() -> None:
    one = Cluster(hook("in", "pre-install"))
    one.fleet.nested["a"].delete("batch", "Job", "web", "in")
    one.look()
    assert (one.layer.state, one.names()) == ("InProgress", ["in"])


def test_what_is_not_ours_is_neither_run_nor_deleted() -> None:
    one = Cluster()
    foreign = {**hook("up", "pre-upgrade"), "metadata": {"name": "up", "namespace": "web"}}
    one.fleet.nested["a"].put(foreign, manager="somebody")
    one.push(hook("up", "pre-upgrade"), values="2")
    one.look()
    assert (one.layer.state, one.names()) == ("Held", ["app", "next", "up"])
    assert one.fleet.nested["a"].get("", "ConfigMap", "web", "app")["data"] == {"text": "1"}


def test_what_an_earlier_run_left_is_in_the_way_where_the_chart_says_so() -> None:
    one = Cluster()
    for values in ("2", "3"):
        one.push(hook("up", "pre-upgrade", kind="ConfigMap", delete="hook-failed"), values=values)
    one.look()
    assert one.layer.state == "Failed"
    assert "an earlier run left it" in one.layer.message
    one.fleet.nested["a"].delete("", "ConfigMap", "web", "up")
    one.look()
    assert one.fleet.word("a") == "Ready"


def test_the_plan_shows_hooks_in_their_turn_and_asks_no_consent_for_them() -> None:
    jobs = hook("zz", "pre-upgrade", weight=-1), hook("aa", "post-upgrade")
    one = Cluster(*jobs)
    one.push(*jobs, values="2")
    one.end("zz")
    one.end("aa")
    one.fleet.git.commit(files(*jobs, values="3"))
    plan = one.fleet.plans()["a"]
    assert plan.consent.items == ()
    told = render_text.render(one.fleet.review(), Style())
    places = [
        told.index(text) for text in ("pre-upgrade hook, weight -1", "ConfigMap/web/app", "post-upgrade hook, weight 0")
    ]
    assert places == sorted(places)


def test_the_hooks_leave_with_the_pack() -> None:
    one = Cluster(hook("in", "pre-install"))
    one.end("in")
    found = files(hook("in", "pre-install"))
    one.fleet.push({**found, "p.yaml": profile({"name": "next", "namespace": "web", "manifests": {"objects": []}})})
    one.run()
    assert "in" not in one.names()
    assert one.fleet.state("a").record.hooks == {}


def test_a_fleet_without_hooks_records_nothing_of_them() -> None:
    one = Cluster()
    assert one.fleet.word("a") == "Ready"
    assert one.fleet.state("a").record.hooks == {}


def test_hooks_of_which_none_runs_now_are_not_read_again() -> None:
    one = Cluster(hook("up", "pre-upgrade"), hook("going", "pre-delete"))
    assert (one.fleet.word("a"), one.fleet.state("a").record.hooks[LAYER].over) == ("Ready", True)
    asked: list[str] = []
    one.fleet.nested["a"].choosers.append(lambda call: asked.append(call.kind))
    one.look()
    assert "ConfigMap" in asked and "Job" not in asked
    one.push(hook("up", "pre-upgrade"), hook("going", "pre-delete"), values="2")
    assert (one.layer.state, one.names()) == ("InProgress", ["app", "next", "up"])


def test_a_hook_of_an_earlier_run_that_a_finalizer_holds_is_waited_for() -> None:
    jobs = hook("up", "pre-upgrade")
    jobs["metadata"]["finalizers"] = ["example.com/held"]
    one = Cluster(jobs)
    one.push(jobs, values="2")
    one.end("up")
    one.push(jobs, values="3")
    assert (one.layer.state, one.fleet.word("a")) == ("InProgress", "Progressing")
    server = one.fleet.nested["a"]
    held = server.get("batch", "Job", "web", "up")
    assert "deletionTimestamp" in held["metadata"]
    server.put({**held, "metadata": {**held["metadata"], "finalizers": []}}, manager="somebody")
    one.look()
    one.end("up")
    assert (one.fleet.word("a"), server.get("", "ConfigMap", "web", "app")["data"]) == ("Ready", {"text": "3"})


def test_a_process_killed_at_any_write_runs_each_hook_once() -> None:
    jobs = (
        hook("map", "pre-install", kind="ConfigMap", weight=-1, delete="hook-succeeded"),
        hook("in", "pre-install", delete="hook-succeeded"),
        hook("after", "post-install"),
    )

    def lived(deadly: int) -> Life:
        life = Life(Fleet(), ("map", "in", "after"), deadly)
        life.live(files(*jobs), lambda: True)
        return life

    each_once(lived, 12)


def each_once(lived: Callable[[int], Life], least: int) -> None:
    """Whichever write a process ends before, each hook is made once; the story has more writes than `least`."""
    for deadly in range(1, 60):
        life = lived(deadly)
        assert {name: len(uids) for name, uids in life.made.items()} == dict.fromkeys(life.made, 1), deadly
        if life.left > 0:
            assert deadly > least
            return
    raise AssertionError("the story does not end")


class Life:
    """A push during which the process ends before its `deadly`th write once the cluster runs. `made`: UIDs of hooks, by name."""

    def __init__(self, fleet: Fleet, names: Iterable[str], deadly: int) -> None:
        self.fleet = fleet
        self.made: dict[str, set[str]] = {name: set() for name in names}
        self.left = deadly
        for server in (fleet.host, *fleet.nested.values()):
            server.choosers.append(self._kill)

    def live(self, pushed: Mapping[str, str], over: Callable[[], bool]) -> None:
        """Until the cluster is Ready and it is `over`."""
        self.fleet.push(pushed)
        for _ in range(40):
            try:
                self.fleet.run(passes=1, seconds=5.0)
            except Killed:
                self.fleet.restart()
            if "a" in self.fleet.nested:
                self._inside()
            if "a" in self.fleet.reporter.clusters and self.fleet.word("a") == "Ready" and over():
                return
        raise AssertionError(self.fleet.reporter.clusters["a"])

    def _inside(self) -> None:
        """Jobs run to their end."""
        server = self.fleet.nested["a"]
        if self._kill not in server.choosers:
            server.choosers.append(self._kill)
        for one in [*server.objects("batch", "Job"), *server.objects("", "ConfigMap")]:
            self.made.get(one["metadata"]["name"], set()).add(one["metadata"]["uid"])
            if one["kind"] == "Job" and not one.get("status", {}).get("conditions"):
                status = {"conditions": [{"type": "Complete", "status": "True"}]}
                server.put({**one, "status": status}, manager="kube-controller-manager", subresource="status")
        self.fleet.queue.add("a")

    def _kill(self, call: Call) -> Failure | None:
        if call.writes and not in_background(call) and "a" in self.fleet.nested:
            self.left -= 1
            if self.left == 0:
                raise Killed
        return None
