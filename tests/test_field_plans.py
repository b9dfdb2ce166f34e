"""Field cases of plans: what the server refuses is seen before the push, and named (17, 22).

The repositories lie outside this one where a test says so (`NIDUS_SHARED_DATA`, else ../shared/data).
"""

import pytest

from reconciler.model import Change
from tests.memory.failures import Call, answer, on
from tests.passes import Fleet, cluster, config_map, pack, profile

FORBIDDEN = 'pods "one" is forbidden: violates PodSecurity "restricted:latest": privileged'


def standing() -> Fleet:
    fleet = Fleet()
    fleet.push({"p.yaml": profile(pack("base", config_map("one"))), "a.yaml": cluster("a")})
    fleet.run()
    return fleet


def planned(fleet: Fleet, *objects: dict[str, object]) -> dict[str, Change]:
    """The changes of a commit that adds these objects, by name; nothing of it is applied."""
    fleet.git.commit({"p.yaml": profile(pack("base", config_map("one"), *objects)), "a.yaml": cluster("a")})
    return {one.ref.name: one for one in fleet.plans()["a"].changes}


def deployment(name: str, **container: object) -> dict[str, object]:
    pod = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "m", "image": "i", **container}]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_17_the_plan_of_a_create_names_the_servers_refusal() -> None:
    fleet = standing()
    twice = [{"name": "MODE", "value": "a"}, {"name": "MODE", "value": "b"}]
    found = planned(fleet, deployment("bad", env=twice), deployment("good"))
    bad, good = found["bad"], found["good"]
    assert (bad.action, bad.reason) == ("create", "Refused")
    assert (
        bad.flags[0].startswith("refused by the server: ") and 'duplicate entries for key [name="MODE"]' in bad.flags[0]
    )
    assert (good.action, good.reason, good.flags) == ("create", "", ())
    assert fleet.names("a", "apps", "Deployment") == []


def test_a_sync_asks_for_a_create_once() -> None:
    fleet = standing()
    fleet.nested["a"].log.clear()
    fleet.push({"p.yaml": profile(pack("base", config_map("one"), config_map("two"))), "a.yaml": cluster("a")})
    fleet.run()
    assert [call.dry_run for call in fleet.nested["a"].log if call.verb == "apply" and call.name == "two"] == [False]


@pytest.mark.parametrize(
    ("code", "message", "reason", "told"),
    [
        (403, FORBIDDEN, "Refused", f"refused by the server: {FORBIDDEN}"),
        (403, "exceeded quota: team", "Refused", "refused by the server: exceeded quota: team"),
        (400, 'admission webhook "w.x.io" denied the request: no', "Refused", "refused by the server: admission"),
        (400, 'admission webhook "w.x.io" does not support dry run', "", "known after apply: admission webhook"),
        (403, 'configmaps "two" is forbidden: User "u" cannot patch resource "configmaps"', "", "known after apply: "),
        (403, 'error looking up service account web/three: serviceaccount "three" not found', "", "known after apply"),
        (503, "", "", "not tried: "),
    ],
)
def test_what_an_answer_to_the_try_of_a_create_means(code: int, message: str, reason: str, told: str) -> None:
    fleet = standing()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "three"}}
    fleet.nested["a"].fail(answer(code, message=message), on("apply", name="two", dry_run=True))
    two = planned(fleet, config_map("two"), account)["two"]
    assert (two.action, two.reason) == ("create", reason)
    assert len(two.flags) == 1 and two.flags[0].startswith(told)


def test_a_secret_that_nobody_may_write_yet_is_known_after_the_plan() -> None:
    """As the engine's own, of a cluster whose namespace gives the controller its right only when it is made; nothing of the answer is
    quoted."""
    fleet = standing()
    forbidden = 'secrets "two" is forbidden: User "hunter2" cannot patch resource "secrets" in API group ""'
    fleet.nested["a"].fail(answer(403, message=forbidden), on("apply", name="two", dry_run=True))
    two = planned(fleet, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"}})["two"]
    assert (two.action, two.reason) == ("create", "")
    assert two.flags[0].startswith("known after apply: ") and "hunter2" not in two.flags[0]


def test_what_lies_in_a_namespace_of_the_same_plan_is_known_after_it() -> None:
    fleet = standing()
    fleet.git.commit(
        {
            "p.yaml": profile(
                pack("base", config_map("one"), {**config_map("two"), "metadata": {"name": "two", "namespace": "new"}})
            ),
            "a.yaml": cluster("a", namespaces=[{"name": "web"}, {"name": "new"}]),
        }
    )
    two = next(one for one in fleet.plans()["a"].changes if one.ref.name == "two")
    assert (two.reason, two.flags) == ("", ("known after apply",))


def test_a_server_that_stops_answering_is_tried_once() -> None:
    fleet = standing()
    tries: list[Call] = []

    def count(call: Call) -> None:
        if call.dry_run:
            tries.append(call)

    fleet.nested["a"].choosers.append(count)
    fleet.nested["a"].fail(answer(503), on("apply", dry_run=True), times=None)
    found = planned(fleet, config_map("two"), config_map("three"))
    assert len(tries) == 1 and all(found[name].flags[0].startswith("not tried: ") for name in ("two", "three"))
