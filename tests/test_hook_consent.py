"""What a chart calls a hook goes without an approval only where a run of a hook made it (K7, P7, AD3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_hooks import Cluster, files, hook

Object = dict[str, Any]
ANEW, GOES = "before-hook-creation", "hook-succeeded"
OPT_IN = {"nidus.dev/replace": "true"}
COUNT = 12  # more than the budget of a cluster as small as this one


def plain(name: str, kind: str = "ConfigMap", **notes: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "annotations": notes}}


def called(obj: Object, policy: str, event: str = "post-upgrade") -> Object:
    """The same object as a hook of its chart."""
    meta = obj["metadata"]
    notes = {**meta["annotations"], "helm.sh/hook": event, "helm.sh/hook-delete-policy": policy}
    return {**obj, "metadata": {**meta, "annotations": notes}}


def uids(one: Cluster) -> dict[str, str]:
    found = one.fleet.nested["a"].objects("", "ConfigMap", "web")
    return {
        item["metadata"]["name"]: item["metadata"]["uid"] for item in found if "kube" not in item["metadata"]["name"]
    }


@pytest.mark.parametrize("policy", [ANEW, GOES, f"{ANEW},{GOES}", f"{ANEW},{GOES},hook-failed"])
@pytest.mark.parametrize("event", ["pre-upgrade", "post-upgrade"])
def test_an_object_that_was_no_hook_does_not_go_because_it_is_called_one(policy: str, event: str) -> None:
    one = Cluster(plain("kept"))
    before = uids(one)
    one.push(called(plain("kept"), policy, event), values="2")
    one.look()
    assert uids(one) == before
    assert one.fleet.word("a") != "Ready"
    assert "ConfigMap/web/kept: HookExists" in one.layer.message or "an earlier run left it" in one.layer.message


def test_the_layer_says_what_to_do_instead() -> None:
    one = Cluster(plain("kept"))
    one.push(called(plain("kept"), ANEW), values="2")
    assert one.layer.state == "Held"
    assert "no hook made what is there" in one.layer.message
    assert "nidus.dev/replace" in one.layer.message
    one.fleet.nested["a"].delete("", "ConfigMap", "web", "kept")
    one.look()
    assert one.fleet.word("a") == "Ready", one.layer.message


def test_what_opts_in_counts_for_the_budget_and_waits_for_an_approval() -> None:
    objects = [plain(f"kept-{at}", **OPT_IN) for at in range(COUNT)]
    one = Cluster(*objects)
    before = uids(one)
    one.push(*(called(obj, f"{ANEW},{GOES}") for obj in objects), values="2")
    one.look()
    assert uids(one) == before
    assert one.fleet.word("a") == "Held"
    held = one.fleet.reporter.clusters["a"].held
    assert held is not None
    assert len(held.items) == COUNT
    one.fleet.ask("approve", "a", consent=held.consent, items=held.items)
    one.run()
    one.look()
    assert one.fleet.word("a") == "Ready", one.layer.message
    assert [name for name in uids(one) if name.startswith("kept")] == []


def test_what_holds_others_or_volumes_is_never_replaced_for_a_hook() -> None:
    claim = {**plain("data", "PersistentVolumeClaim", **OPT_IN), "spec": {"accessModes": ["ReadWriteOnce"]}}
    one = Cluster(claim)
    one.push(called(claim, ANEW), values="2")
    one.look()
    assert "never replaced" in one.layer.message


def test_a_chart_cannot_say_that_a_run_made_its_object() -> None:
    """Neither by the annotation of a run, nor by that of a host's object."""
    forged = {"inside.nidus.dev/hook": "0123456789ab post-upgrade", "nidus.dev/hook": "0123456789ab post-upgrade"}
    one = Cluster(plain("kept", **forged))
    live = one.fleet.nested["a"].get("", "ConfigMap", "web", "kept")
    assert live is not None
    assert "inside.nidus.dev/hook" not in live["metadata"]["annotations"]
    one.fleet.nested["a"].put(live | {"metadata": {**live["metadata"], "annotations": forged}}, manager="somebody")
    one.push(called(plain("kept", **forged), ANEW), values="2")
    one.look()
    assert uids(one)["kept"] == live["metadata"]["uid"]


def test_what_a_run_made_is_made_anew_until_it_was_an_object_of_its_pack() -> None:
    made = called(plain("kept"), ANEW, "post-install,post-upgrade")
    one = Cluster(made)
    first = uids(one)["kept"]
    one.push(made, values="2")
    second = uids(one)["kept"]
    assert (second != first, one.fleet.word("a")) == (True, "Ready")
    one.push(plain("kept"), values="3")
    assert (uids(one)["kept"], one.fleet.word("a")) == (second, "Ready")
    one.push(made, values="4")
    one.look()
    assert (uids(one)["kept"], one.layer.state) == (second, "Held")


def test_a_review_counts_what_a_run_made_no_more_than_a_pass_does() -> None:
    jobs = [hook(f"up-{at}", "pre-upgrade,post-install", kind="ConfigMap") for at in range(COUNT)]
    one = Cluster(*jobs, plain("goes"))
    one.fleet.git.commit(files(*jobs, values="2"))
    reviewed = next(each for each in one.fleet.review().clusters if each.cluster == "a")
    assert reviewed.plan is not None
    assert (len(reviewed.plan.consent.items), reviewed.held) == (1, None)
