"""Hooks before and after a deletion: when a pack leaves its profile, and when the cluster does (K7)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.model import Change, Desired, Layer, ObjectRef, Ran, Record, Result, Target, replace
from reconciler.plan import hook_runs, leaving, render_text
from reconciler.plan.hook_runs import LONGEST
from reconciler.plan.lines import Style
from tests.memory.failures import Call, answer
from tests.passes import Fleet, profile
from tests.test_hooks import Cluster, Life, Object, each_once, files, hook

SECRET = "nidus-hooks-web.app"
HOME = "vcluster-a"
COUNT = 12  # more than the budget of a cluster as small as this one


def without(*packs: Object, **more: Any) -> dict[str, str]:
    """The files without the pack, or with others in its place."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "next"}}
    after = {"name": "next", "namespace": "web", "manifests": {"objects": [other]}}
    return {**files(**more), "p.yaml": profile(*packs, after)}


def push(one: Cluster, found: Mapping[str, str]) -> None:
    one.wrote.clear()
    one.fleet.push(found)
    one.fleet.run(seconds=5.0)


def wrote(one: Cluster) -> list[str]:
    """The writes since, but those of the record."""
    return [each for each in one.wrote if "nidus-record" not in each]


def ends(one: Cluster, how: str = "Complete") -> None:
    """The hook ends, and what follows from that is done."""
    one.status("going", how)
    one.fleet.queue.add("a")
    one.fleet.run()


def leave(one: Cluster) -> None:
    push(one, without())


def remove(one: Cluster) -> None:
    """The cluster is no longer in Git; its removal is approved."""
    push(one, {"p.yaml": without()["p.yaml"]})
    held = one.fleet.held["a"]
    one.fleet.ask("approve", "", consent=held.consent, items=held.items)
    one.fleet.admit()
    one.fleet.run(seconds=5.0)


def chart(one: Object) -> dict[str, str]:
    found = files(one)
    own = {path.removeprefix("chart/"): text for path, text in found.items() if path.startswith("chart/")}
    return {**own, "templates/00.yaml": own["templates/00.yaml"].replace("name: app", "name: more")}


def stands(one: Cluster) -> bool:
    """Whether the control plane of the cluster is there."""
    return one.fleet.host.get("apps", "StatefulSet", HOME, "a") is not None


def kept(one: Cluster) -> Object | None:
    found: Object | None = one.fleet.host.get("", "Secret", HOME, SECRET)
    return found


def installed(*hooks: Object, **more: Any) -> Cluster:
    one = Cluster(*hooks, **more)
    assert one.fleet.word("a") == "Ready"
    return one


def test_hooks_run_before_and_after_a_pack_leaves_in_the_order_of_helm_and_once() -> None:
    one = Cluster(
        hook("last", "post-delete", weight=1),
        hook("note", "post-delete", kind="ConfigMap", weight=-1, delete="hook-succeeded"),
        hook("second", "pre-delete", weight=2, delete="hook-succeeded"),
        hook("first", "pre-delete,post-install", weight=-2),
    )
    one.end("first")
    assert one.fleet.word("a") == "Ready"
    leave(one)
    assert one.layer.state == "InProgress"
    assert one.layer.message.startswith("pre-delete hook Job.batch/web/first: ")
    assert wrote(one) == ["-first", "+first"]
    for name in ("first", "second", "last"):
        assert ("app" in one.names()) == (name != "last")
        one.end(name)
    assert wrote(one)[2:] == ["+second", "-second", "-app", "+note", "+last", "-note", "-first", "-last", f"-{SECRET}"]
    assert (one.fleet.word("a"), one.names(), kept(one)) == ("Ready", ["next"], None)
    assert one.fleet.state("a").record.hooks == {}
    one.look()
    assert one.names() == ["next"]


def test_none_runs_before_its_deletion_is_approved() -> None:
    plain = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"one-{at}"}} for at in range(COUNT)]
    one = installed(hook("going", "pre-delete"), hook("after", "post-delete"), *plain)
    leave(one)
    held = one.fleet.reporter.clusters["a"].held
    assert held is not None
    assert (one.fleet.word("a"), "+going" in wrote(one)) == ("Held", False)
    one.fleet.ask("approve", "a", consent=held.consent, items=held.items)
    one.run()
    one.end("going")
    one.end("after")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["next"])


def two() -> Cluster:
    """Pack `more` depends on pack `app`."""
    ready = {"timeout": "5m"}
    first = {"name": "app", "namespace": "web", "ready": ready, "helm": {"chart": {"path": "chart"}}}
    second = {
        **first,
        "name": "more",
        "dependsOn": ["app"],
        "ready": {"timeout": "30m"},
        "helm": {"chart": {"path": "more"}},
    }
    other = {f"more/{name}": text for name, text in chart(hook("ending", "pre-delete")).items()}
    one = installed(hook("going", "pre-delete"))
    push(one, {**files(hook("going", "pre-delete")), **other, "p.yaml": without(first, second)["p.yaml"]})
    assert one.fleet.word("a") == "Ready"
    return one


def test_a_pack_leaves_after_those_that_depend_on_it() -> None:
    one = two()
    leave(one)
    assert wrote(one)[-1] == "+ending"
    assert (one.layer.state, one.layer.message) == ("Waiting", "web/more leaves first")
    one.end("ending")
    one.end("going")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["next"])


def test_the_plan_shows_them_in_their_turn() -> None:
    one = installed(hook("going", "pre-delete"), hook("after", "post-delete"))
    one.fleet.git.commit(without())
    told = render_text.render(one.fleet.review(), Style())
    places = [told.index(text) for text in ("pre-delete hook, weight 0", "ConfigMap/web/app", "post-delete hook")]
    assert places == sorted(places)
    assert [line.split()[1] for line in one.fleet.plans()["a"].consent.items] == [
        f"Secret/{HOME}/{SECRET}",
        "ConfigMap/web/app",
    ]


def test_a_failed_hook_keeps_the_pack_until_it_is_run_again() -> None:
    one = installed(hook("going", "pre-delete"))
    leave(one)
    one.end("going", "Failed")
    assert one.layer.state == "Failed"
    assert "the machine is on fire" in one.layer.message
    assert (one.fleet.word("a"), "app" in one.names()) == ("Degraded", True)
    server = one.fleet.nested["a"]
    server.delete("batch", "Job", "web", "going")
    one.look()
    one.end("going")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["next"])


def test_a_hook_that_hangs_fails_after_the_timeout_of_its_pack() -> None:
    one = installed(hook("going", "pre-delete"))
    leave(one)
    one.fleet.run(seconds=400.0)
    assert (one.layer.state, "not complete after 300 s" in one.layer.message) == ("Failed", True)
    assert "app" in one.names()


def test_without_its_secret_a_pack_leaves_without_hooks() -> None:
    one = installed(hook("going", "pre-delete"))
    leave(one)
    one.end("going", "Failed")
    one.fleet.host.delete("", "Secret", HOME, SECRET)
    one.look()
    assert (one.fleet.word("a"), "app" in one.names()) == ("Ready", False)


def test_what_the_engine_writes_there_is_not_run() -> None:
    one = installed(hook("going", "pre-delete"))
    secret = kept(one)
    assert secret is not None
    stored = json.loads(base64.b64decode(secret["data"]["hooks"]))
    stored["hooks"][0]["metadata"]["name"] = "evil"
    forged = base64.b64encode(json.dumps(stored).encode()).decode()
    one.fleet.git.commit(without())
    one.fleet.host.put({**secret, "data": {**secret["data"], "hooks": forged}}, manager="nidus")
    one.fleet.admit()
    one.run()
    assert (one.layer.state, "BadHooks" in one.layer.message) == ("Unknown", True)
    assert {"app", "evil"} & set(one.names()) == {"app"}


def test_what_is_not_read_holds_a_pack_and_no_removed_cluster() -> None:
    """Also where the record knows of no hooks."""
    one = installed(hook("going", "pre-delete"))
    state = one.fleet.state("a")
    assert state is not None
    one.fleet.store.write(replace(state, record=replace(state.record, hooks={})))
    one.fleet.restart()
    one.fleet.host.choosers.append(lambda call: answer(403) if call.name == SECRET and not call.writes else None)
    leave(one)
    assert (one.fleet.word("a"), "app" in one.names(), "going" in one.names()) == ("Degraded", True, False)
    remove(one)
    assert stands(one)
    one.fleet.run(passes=200, seconds=1000.0)
    assert one.fleet.state("a") is None


def test_a_pack_that_comes_back_while_it_leaves_is_installed_again() -> None:
    jobs = (hook("going", "pre-delete"), hook("in", "post-install", delete="hook-succeeded"))
    one = Cluster(*jobs)
    one.end("in")
    leave(one)
    assert "going" in one.names()
    push(one, files(*jobs))
    assert one.layer.message.startswith("post-install hook Job.batch/web/in: ")
    one.end("in")
    assert (one.fleet.word("a"), "app" in one.names()) == ("Ready", True)
    leave(one)
    assert wrote(one) == ["-going", "+going"]


def test_a_pack_that_comes_back_before_its_hooks_began_runs_none() -> None:
    jobs = (hook("going", "pre-delete"), hook("in", "post-install", delete="hook-succeeded"))
    one = Cluster(*jobs)
    one.end("in")
    one.fleet.down.add("a")
    leave(one)
    one.fleet.down.clear()
    push(one, files(*jobs))
    assert (one.fleet.word("a"), wrote(one)) == ("Ready", [])


def test_a_pack_that_gets_another_name_does_not_leave() -> None:
    one = installed(hook("going", "pre-delete"))
    pack = {"name": "other", "namespace": "web", "helm": {"chart": {"path": "chart"}}}
    push(one, {**files(hook("going", "pre-delete")), "p.yaml": without(pack)["p.yaml"]})
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "next"])
    assert kept(one) is None


def test_the_packs_of_a_removed_cluster_say_good_bye_before_it_goes() -> None:
    one = installed(hook("going", "pre-delete"), hook("after", "post-delete"))
    remove(one)
    assert wrote(one) == ["+going"]
    assert (one.fleet.word("a"), stands(one)) == ("Deleting", True)
    ends(one)
    assert one.fleet.state("a") is None
    assert "+after" not in wrote(one)


@pytest.mark.parametrize("how", ["fails", "hangs", "refused", "silent"])
def test_a_removed_cluster_goes_all_the_same(how: str) -> None:
    """A hook that fails, hangs or is not admitted, or a control plane that does not answer, does not keep it for ever."""
    one = installed(hook("going", "pre-delete"))
    if how == "silent":
        one.fleet.down.add("a")
    if how == "refused":
        one.fleet.nested["a"].choosers.append(
            lambda call: answer(403) if call.writes and call.name == "going" else None
        )
    remove(one)
    if how == "fails":
        ends(one, "Failed")
    else:
        assert stands(one)
        one.fleet.run(passes=200, seconds=1000.0)
    assert one.fleet.state("a") is None


def test_the_time_of_hooks_in_a_removed_cluster_begins_when_they_may_run() -> None:
    """Not while those of the pack ahead run, however long these take."""
    one = two()
    remove(one)
    assert wrote(one) == ["+ending"]
    one.fleet.now += 700.0
    one.end("ending")
    assert wrote(one)[1:] == ["+going"]
    assert stands(one)
    ends(one)
    assert one.fleet.state("a") is None


def test_a_removed_cluster_waits_for_no_timeout_longer_than_the_limit() -> None:
    one = installed(hook("going", "pre-delete"))
    found = files(hook("going", "pre-delete"))
    push(one, {**found, "p.yaml": found["p.yaml"].replace("5m", "90d")})
    remove(one)
    one.fleet.now += LONGEST - 60.0
    one.look()
    assert stands(one)
    one.fleet.now += 120.0
    one.fleet.queue.add("a")
    one.fleet.run()
    assert one.fleet.state("a") is None


def going(name: str, *after: str) -> Desired:
    return Desired(Layer(name, Target("local", "a"), "helm", {}, "", depends_on=after, role=leaving.ROLE), ())


@pytest.mark.parametrize(("outcome", "since"), [("created", 900.0), ("held", 0.0), ("", 0.0)])
def test_no_time_counts_in_which_hooks_are_held_or_not_sent(outcome: Any, since: float) -> None:
    hooked = Change("create", Target("local", "a"), ObjectRef("batch", "Job", "web", "x"), "app", hook="pre-delete")
    results = [Result(hooked, outcome)] if outcome else []
    known = {"app": Ran("", leaving.EVENT, "1")}
    found = hook_runs.counted(known, [going("app")], [hooked], results, 800.0, 900.0)
    assert found["app"].since == since


def test_packs_that_each_wait_for_the_other_leave_together() -> None:
    gone = [going("one", "two"), going("two", "one")]
    known = {one.layer.name: Ran("", leaving.EVENT, "1") for one in gone}
    assert [leaving.ahead(one.layer, gone, known) for one in gone] == [[], []]
    first = {**known, "two": replace(known["two"], over=True)}
    assert leaving.ahead(gone[0].layer, gone, first) == []
    assert leaving.ahead(
        gone[0].layer, [gone[0], going("two", "one"), going("three")], {**known, "three": known["one"]}
    ) == ["two"]


@pytest.mark.parametrize("policy", ["Retain", "Orphan"])
def test_what_stays_runs_no_hooks(policy: str) -> None:
    one = installed(hook("going", "pre-delete"), deletion={"policy": policy, "grace": "0s"})
    remove(one)
    one.fleet.run()
    assert "+going" not in wrote(one)
    assert (policy == "Retain") == (one.fleet.state("a") is not None)
    assert stands(one) == (policy == "Orphan")


def test_a_cluster_that_sleeps_is_not_woken_for_them() -> None:
    one = installed(hook("going", "pre-delete"))
    one.fleet.ask("sleep", "a")
    one.run()
    remove(one)
    one.fleet.run()
    assert ("+going" in wrote(one), one.fleet.state("a")) == (False, None)


def test_the_packs_of_a_sleeping_cluster_leave_when_it_wakes() -> None:
    one = installed(hook("going", "pre-delete"))
    one.fleet.ask("sleep", "a")
    one.run()
    leave(one)
    assert one.fleet.word("a") == "Asleep"
    one.fleet.ask("wake", "a")
    one.fleet.run(seconds=400.0)
    ends(one)
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["next"])


def test_a_process_killed_at_any_write_runs_each_hook_once() -> None:
    jobs = (
        hook("map", "pre-delete", kind="ConfigMap", weight=-1, delete="hook-succeeded"),
        hook("going", "pre-delete", delete="hook-succeeded"),
        hook("after", "post-delete"),
    )

    def lived(deadly: int) -> Life:
        life = Life(installed(*jobs).fleet, ("map", "going", "after"), deadly)
        life.live(without(), lambda: not record(life.fleet).hooks)
        return life

    each_once(lived, 8)


def record(fleet: Fleet) -> Record:
    state = fleet.state("a")
    assert state is not None
    return state.record


def test_a_removal_called_off_meanwhile_runs_no_hook() -> None:
    """Once its file is back, nothing of the pass before is sent any more: here between its plan and its first write."""
    one = installed(hook("going", "pre-delete"))
    records: list[str] = []

    def hear(call: Call) -> None:
        if call.writes and call.name == "nidus-record-a":
            records.append(call.verb)
            if len(records) == 3:
                one.fleet.push(files(hook("going", "pre-delete")))

    one.fleet.host.choosers.append(hear)
    remove(one)
    assert len(records) >= 3 and one.fleet.held == {}
    assert "+going" not in one.wrote and stands(one)
