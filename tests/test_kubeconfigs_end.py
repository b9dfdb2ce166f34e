"""Kubeconfigs end when their entry leaves, whatever else of the cluster fails; those that stay are kept good (O12)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from reconciler.apply.outcomes import LOOK_AGAIN
from reconciler.model import replace
from tests.memory.failures import answer, on, raw
from tests.passes import RULES, Fleet, config_map, pack, profile
from tests.test_growth import QUOTA, claim, offer
from tests.test_kubeconfigs import (
    EDIT,
    HOUR,
    RBAC,
    VIEW,
    account,
    credentials,
    files,
    look,
    secret,
    token,
    tokens,
    told,
)

BROKEN = profile(pack("base", config_map("greeting", text="one"), config_map("other", text="x")))


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.push(files(EDIT, VIEW))
    made.run()
    credentials(made)
    look(made)
    assert secret(made, "ci") is not None
    yield made
    made.close()


def sized(size: str) -> dict[str, str]:
    return files(EDIT, controlPlane={"store": {"type": "sqlite", "size": size}}, quota=QUOTA)


def refuse_other(fleet: Fleet) -> None:
    """A pack of the cluster cannot be applied from now on."""
    fleet.nested["a"].fail(answer(422, "Invalid"), lambda call: call.writes and call.name == "other", times=None)


def test_no_pack_that_is_broken_keeps_the_access_of_an_entry_that_left(fleet: Fleet) -> None:
    refuse_other(fleet)
    fleet.push({**files(EDIT), "p.yaml": BROKEN})
    fleet.run()
    assert fleet.word("a") == "Degraded"
    assert (secret(fleet, "ci"), account(fleet, "ci")) == (None, None)
    assert fleet.nested["a"].get(RBAC, "ClusterRoleBinding", "", "nidus-clusterrole-view") is None
    assert [one["name"] for one in told(fleet)["list"]] == ["team-a"]


def test_no_deletion_that_is_held_keeps_an_account_whose_entry_left() -> None:
    made = Fleet(replace(RULES, unreviewed="Hold"))
    made.push(files(EDIT, VIEW))
    made.run()
    credentials(made)
    look(made)
    made.push(files(EDIT))
    made.run()
    assert made.word("a") == "Held"
    assert (secret(made, "ci"), account(made, "ci")) == (None, None)
    made.close()


def test_no_pack_that_is_broken_keeps_a_role_that_was_taken(fleet: Fleet) -> None:
    refuse_other(fleet)
    fleet.push({**files({**EDIT, "role": "view"}, VIEW), "p.yaml": BROKEN})
    fleet.run()
    assert fleet.nested["a"].get(RBAC, "ClusterRoleBinding", "", "nidus-clusterrole-edit") is None


def test_no_pack_that_cannot_be_rendered_keeps_a_role_that_was_taken(fleet: Fleet) -> None:
    unread = profile(pack("base", {"apiVersion": "example.com/v1", "kind": "Odd", "metadata": {"name": "a b"}}))
    fleet.push({**files({**EDIT, "role": "view"}, VIEW), "p.yaml": unread})
    fleet.run()
    assert fleet.nested["a"].get(RBAC, "ClusterRoleBinding", "", "nidus-clusterrole-edit") is None


def test_an_entry_that_left_is_told_until_the_control_plane_answers(fleet: Fleet) -> None:
    fleet.down.add("a")
    fleet.push(files(EDIT))
    fleet.run()
    assert secret(fleet, "ci") is None and account(fleet, "ci") is not None
    assert "ci" in [one["name"] for one in told(fleet)["list"]]
    assert "ci: its account inside stays until the control plane answers" in told(fleet)["problem"]
    fleet.down.clear()
    look(fleet, fleet.now + LOOK_AGAIN)
    assert account(fleet, "ci") is None
    assert [one["name"] for one in told(fleet)["list"]] == ["team-a"] and "problem" not in told(fleet)


def test_one_that_cannot_go_stops_no_other(fleet: Fleet) -> None:
    first = token(fleet)
    fleet.host.fail(answer(403), on("delete", kind="Secret"), times=None)
    fleet.push(files(EDIT))
    fleet.run()
    assert told(fleet)["problem"].startswith("ci: ") and account(fleet, "ci") is None
    look(fleet, fleet.now + 9 * HOUR)
    assert token(fleet) != first


def test_an_engine_that_waits_lets_no_token_end() -> None:
    made = Fleet()
    made.push(sized("5Gi"))
    made.run()
    credentials(made)
    look(made)
    claim(made)
    offer(made, grows=False)
    first = token(made)
    made.push(sized("8Gi"))
    made.run()
    assert made.word("a") == "Waiting"
    look(made, made.now + 9 * HOUR)
    assert token(made) != first
    made.close()


def test_a_token_that_nothing_makes_anew_is_told(fleet: Fleet) -> None:
    fleet.down.add("a")
    look(fleet, fleet.now + 9 * HOUR)
    assert "team-a: no next token is made while the control plane does not answer" in told(fleet)["problem"]


def test_a_tenants_server_does_not_decide_how_often_the_host_is_written(fleet: Fleet) -> None:
    first = token(fleet)
    said = {"status": {"token": "ok", "expirationTimestamp": "2020-01-01T00:00:00Z"}}
    fleet.nested["a"].fail(raw(json.dumps(said).encode(), 201), lambda call: call.subresource == "token", times=None)
    look(fleet, fleet.now + 8.5 * HOUR)
    asked, before = tokens(fleet), sum(1 for one in fleet.host.log if one.writes)
    fleet.run(passes=500, seconds=HOUR)
    assert "team-a: the server gives tokens that live less than 300 s" in told(fleet)["problem"]
    assert token(fleet) == first and sum(1 for one in fleet.host.log if one.writes) - before < 10
    assert tokens(fleet) - asked < 50, "two entries, less and less often"


def test_a_secret_that_is_held_on_the_host_is_looked_at_now_and_then(fleet: Fleet) -> None:
    live = secret(fleet, "ci")
    fleet.host.put({**live, "metadata": {**live["metadata"], "finalizers": ["example.com/stay"]}})
    fleet.push(files(EDIT))
    fleet.run()
    look(fleet, fleet.now + HOUR)
    calls = len(fleet.host.log)
    fleet.run(passes=30, seconds=5.0)
    assert len(fleet.host.log) == calls
    assert told(fleet)["problem"] == "ci: Secret/vcluster-a/nidus-kubeconfig-ci is still there"


def test_what_only_a_human_can_end_makes_no_pass_of_its_own(fleet: Fleet) -> None:
    meta = {"name": "nidus-kubeconfig-more", "namespace": "vcluster-a"}
    fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"mine": "1"}})
    fleet.push(files(EDIT, VIEW, {**VIEW, "name": "more"}))
    fleet.run()
    assert told(fleet)["problem"].startswith("more: ")
    calls = len(fleet.host.log)
    fleet.run(seconds=200.0)
    assert len(fleet.host.log) == calls


def test_a_secret_goes_with_the_engine_that_runs_now(fleet: Fleet) -> None:
    old = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert old is not None
    fleet.host.delete("apps", "StatefulSet", "vcluster-a", "a")
    for _ in range(3):
        look(fleet, fleet.now + 60)
    new = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert new is not None and new["metadata"]["uid"] != old["metadata"]["uid"]
    assert [one["uid"] for one in secret(fleet)["metadata"]["ownerReferences"]] == [new["metadata"]["uid"]]


def test_a_secret_that_goes_with_something_else_is_written_anew(fleet: Fleet) -> None:
    live, service = secret(fleet), fleet.host.get("", "Service", "vcluster-a", "a")
    assert service is not None
    engine = live["metadata"]["ownerReferences"][0]["uid"]
    other = {"apiVersion": "v1", "kind": "Service", "name": "a", "uid": service["metadata"]["uid"]}
    fleet.host.put({**live, "metadata": {**live["metadata"], "ownerReferences": [other]}})
    look(fleet)
    assert engine in [one["uid"] for one in secret(fleet)["metadata"]["ownerReferences"]]


def test_a_secret_that_was_written_and_not_recorded_goes_with_its_entry() -> None:
    made = Fleet()
    made.push(files(EDIT))
    made.run()
    credentials(made)
    look(made)
    made.host.fail(
        answer(500),
        lambda call: call.writes and call.kind == "ConfigMap" and secret(made, "ci") is not None,
        times=None,
    )
    made.push(files(EDIT, VIEW))
    made.run(passes=6, seconds=5.0)
    assert secret(made, "ci") is not None
    made.host.heal()
    made.restart()
    made.push(files(EDIT))
    made.run()
    assert (secret(made, "ci"), account(made, "ci")) == (None, None)
    made.close()
