"""What `nidus plan` knows and does not know, on API servers in memory: nothing that was not looked at counts as unchanged."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.model import ClusterReview, Defaults, Quota, replace
from reconciler.plan import render_text, summary
from reconciler.plan.lines import Style
from tests.memory.failures import answer, on
from tests.memory.server import Response, Server
from tests.passes import Fleet, cluster, config_map, pack, profile

FILES = {"a.yaml": cluster(), "web.yaml": profile(pack("base", config_map("one")))}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def one(fleet: Fleet, name: str = "a") -> ClusterReview:
    return next(each for each in fleet.review().clusters if each.cluster == name)


def last(fleet: Fleet) -> str:
    return render_text.render(fleet.review(), Style()).splitlines()[-1]


def test_a_control_plane_that_does_not_exist_yet_is_said_and_no_failure(fleet: Fleet) -> None:
    fleet.git.commit(FILES)
    found = summary.totals(fleet.review())
    assert found.later == 2 and found.complete and not found.failed and found.moves
    assert last(fleet).endswith("2 layers known after the control plane is up")
    text = render_text.render(fleet.review(), Style())
    assert text.count("known after the control plane is up") == 2  # once for the cluster, once in the sums


def test_a_control_plane_that_was_up_and_does_not_answer_is_a_failure(fleet: Fleet) -> None:
    fleet.push(FILES)
    fleet.run()
    assert fleet.word("a") == "Ready"
    fleet.down.add("a")
    found = summary.totals(fleet.review())
    assert found.unknown == 2 and found.failed and not found.complete
    assert last(fleet) == "Plan (incomplete): 2 layers unknown"
    assert one(fleet).failed == {"namespaces": "a refused the connection", "web/base": "a refused the connection"}


def test_pods_that_the_cluster_refuses_are_told_at_their_object(fleet: Fleet) -> None:
    fleet.push(FILES)
    fleet.run()
    spec = {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": spec}
    body = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": body}
    fleet.git.commit({**FILES, "web.yaml": profile(pack("base", config_map("one"), wanted))})
    plan = one(fleet).plan
    assert plan is not None
    flagged = {str(change.ref): change.flags for change in plan.changes if change.flags}
    told = "no pod of it runs: isolation.podSecurity baseline refuses it (container c is privileged)"
    assert told in next(flags for ref, flags in flagged.items() if ref.startswith("Deployment"))
    assert told in render_text.render(fleet.review(), Style(detail=True))


def test_an_engine_that_is_gone_is_a_failure_once_it_was_up(fleet: Fleet) -> None:
    fleet.push(FILES)
    fleet.run()
    fleet.host.delete("apps", "StatefulSet", "vcluster-a", "a")
    assert {"namespaces", "web/base"} <= set(one(fleet).failed)
    assert summary.totals(fleet.review()).failed


def test_no_rights_on_the_host_leave_no_zeros(fleet: Fleet) -> None:
    fleet.push(FILES)
    fleet.run()
    fleet.host.fail(answer(403), on("get", kind="Namespace", name="vcluster-a"), times=100)
    found = summary.totals(fleet.review())
    assert found.failed and found.unknown == 5 and not any(found.changes.values())
    assert "0 to create" not in last(fleet) and "5 layers unknown" in last(fleet)


def test_a_cluster_without_a_plan_is_named(fleet: Fleet) -> None:
    fleet.git.commit({"a.yaml": cluster(profiles=[{"name": "nowhere", "version": "1.x"}])})
    assert one(fleet).unseen == "its documents have mistakes"
    found = summary.totals(fleet.review())
    assert found.failed and found.violations == 1
    assert last(fleet) == "Plan (incomplete): 1 mistake in documents, 1 cluster not looked at: a"


def test_a_held_deletion_says_why_and_what_approves_it(fleet: Fleet) -> None:
    objects = [config_map(name) for name in ("one", "two", "three", "four", "five", "six", "seven")]
    fleet.push({"a.yaml": cluster(), "web.yaml": profile(pack("base", *objects))})
    fleet.run()
    fleet.git.commit({"a.yaml": cluster(), "web.yaml": profile(pack("base", objects[0]))})
    found = one(fleet)
    assert found.plan and found.held and found.held.reason == "ObjectBudget"
    assert found.held.consent == found.plan.consent.digest
    sums = summary.totals(fleet.review())
    assert sums.changes["hold"] == 6 and sums.held == 0 and sums.waits and not sums.failed
    text = render_text.render(fleet.review(), Style())
    assert text.count("nidus approve") == 1 and "held: a destroys 6 of" in text


def test_only_what_is_held_while_layers_are_applied_keeps_others_waiting(fleet: Fleet) -> None:
    """A held deletion keeps no update waiting; an object that is not ours does, and the plan says whom."""

    def files(text: str, *names: str) -> dict[str, str]:
        base = pack("base", *(config_map(name) for name in names))
        rest = pack("rest", config_map("rest", text=text), dependsOn=["base"])
        return {"a.yaml": cluster(), "web.yaml": profile(base, rest)}

    many = [f"n{number}" for number in range(8)]
    fleet.push(files("1", *many))
    fleet.run()
    fleet.git.commit(files("2", "n0"))
    found = one(fleet)
    assert found.held and not found.behind
    fleet.push(files("2", "n0"))
    fleet.run()
    assert fleet.word("a") == "Held" and len(fleet.names("a")) >= len(many)
    assert fleet.layer("a", "web/base").state == fleet.layer("a", "web/rest").state == "Current"
    server = fleet.nested["a"]
    server.put({**config_map("theirs"), "metadata": {"name": "theirs", "namespace": "web"}}, manager="them")
    fleet.git.commit(files("3", "n0", "theirs"))
    assert one(fleet).behind == {"web/rest": ("web/base",)}
    assert "  web/rest waits for what is held of web/base" in render_text.render(fleet.review(), Style())
    fleet.push(files("3", "n0", "theirs"))
    fleet.run()
    assert (fleet.layer("a", "web/rest").state, fleet.layer("a", "web/rest").message) == (
        "Waiting",
        "waits for web/base",
    )
    assert server.get("", "ConfigMap", "web", "rest")["data"] == {"text": "2"}  # type: ignore[index]


def moved(fleet: Fleet) -> list[str]:
    found = fleet.review(every=False)
    assert found.same == 2 - len(found.clusters)
    return [each.cluster for each in found.clusters]


def test_what_is_made_from_the_same_inputs_as_before_is_not_made_again(fleet: Fleet) -> None:
    """And whatever else a bundle is made from counts as an input: documents, files of packs, the operator's rules."""
    files = {**FILES, "b.yaml": cluster("b")}
    fleet.push(files)
    fleet.run()
    assert all(state.record.inputs for state in fleet.store.load().states.values())
    assert moved(fleet) == []
    fleet.git.commit(
        {**files, "web.yaml": files["web.yaml"] + "\n# what people read", "c/b.yaml": files["b.yaml"], "b.yaml": ""}
    )
    assert moved(fleet) == []  # no bundle differs
    fleet.git.commit({**files, "a.yaml": cluster(suspend={"reason": "for a day"})})
    assert moved(fleet) == ["a"]
    fleet.git.commit({**files, "web.yaml": profile(pack("base", config_map("two")))})
    assert moved(fleet) == ["a", "b"]
    fleet.git.commit(files)
    assert moved(fleet) == []
    quota = Quota(cpu="2", memory="2Gi")
    fleet.rules = replace(fleet.rules, defaults=Defaults(quota=quota))
    assert moved(fleet) == ["a", "b"]


def _failing(fleet: Fleet) -> None:
    fleet.bugs.add("a")


def _down(fleet: Fleet) -> None:
    fleet.down.add("a")


def _suspended(fleet: Fleet) -> None:
    fleet.ask("suspend", "a")


@pytest.mark.parametrize("grace", ["1h", "2h"])
@pytest.mark.parametrize("breaks", [_failing, _down, _suspended])
def test_what_was_taken_up_and_never_applied_is_in_the_plan(
    fleet: Fleet, breaks: Callable[[Fleet], None], grace: str
) -> None:
    """What a pass stores before it reads anything is no proof that anything was applied."""

    def files(version: str, grace: str) -> dict[str, str]:
        packs = pack("base", config_map("one", text=version))
        return {"a.yaml": cluster(deletion={"grace": grace}), "web.yaml": profile(packs, version=version)}

    fleet.push(files("1.0.0", "1h"))
    fleet.run()
    assert fleet.review(every=False).clusters == ()
    breaks(fleet)
    fleet.push(files("1.1.0", grace))
    fleet.run()
    fleet.bugs.clear()
    fleet.down.clear()
    assert "data.text: 1.0.0 -> 1.1.0" in render_text.render(fleet.review(every=False), Style())
    fleet.ask("resume", "a")
    fleet.queue.add("a")
    fleet.run(seconds=600.0)
    assert fleet.word("a") == "Ready"
    assert fleet.review(every=False).clusters == ()


def test_there_and_back_again_is_in_the_plan_until_it_is_applied(fleet: Fleet) -> None:
    """What ended Ready before something else was taken up may not stand any more."""

    def files(text: str, *more: dict[str, Any]) -> dict[str, str]:
        return {"a.yaml": cluster(), "web.yaml": profile(pack("base", config_map("one", text=text), *more))}

    fleet.push(files("one"))
    fleet.run()
    fleet.push(files("two", {"apiVersion": "nope.example/v1", "kind": "Nope", "metadata": {"name": "x"}}))
    fleet.run()
    fleet.down.add("a")
    fleet.push(files("one"))
    fleet.run()
    fleet.down.clear()
    assert "data.text: two -> one" in render_text.render(fleet.review(every=False), Style())


def test_a_file_that_was_put_back_during_a_removal_is_in_the_plan_until_it_is_applied(fleet: Fleet) -> None:
    fleet.push(FILES)
    fleet.run()
    fleet.host.fail(answer(500, "Broken"), lambda call: call.verb == "delete", times=None)
    fleet.push({**FILES, "a.yaml": ""})
    fleet.ask("approve", "a", fleet.held["a"].consent)
    fleet.run()
    assert fleet.word("a") == "Deleting"
    fleet.down.add("a")
    fleet.push(FILES)
    fleet.run()
    assert fleet.state("a").record.tombstone is None  # type: ignore[union-attr]
    fleet.down.clear()
    assert [each.cluster for each in fleet.review(every=False).clusters] == ["a"]


def test_a_suspended_cluster_is_said(fleet: Fleet) -> None:
    fleet.git.commit({**FILES, "a.yaml": cluster(suspend={"reason": "a migration"})})
    assert one(fleet).suspended == "a migration (by its file)"
    text = render_text.render(fleet.review(), Style())
    assert "  suspended, a sync changes nothing: a migration (by its file)" in text
    assert "1 cluster suspended" in text.splitlines()[-1]
    fleet.git.commit({**FILES, "a.yaml": cluster(suspend={"reason": "over", "until": "2020-01-01T00:00:00Z"})})
    assert one(fleet).suspended == ""


def heard(server: Server) -> list[bytes]:
    """The bodies that a server is sent from now on, as an admission webhook of its administrator reads them."""
    bodies: list[bytes] = []
    answer = server.request

    def request(method: str, path: str, query: Any, headers: Any, body: bytes = b"") -> Response:
        bodies.append(body)
        return answer(method, path, query, headers, body)

    server.request = request  # type: ignore[method-assign]
    return bodies


def secret(value: str, **more: Any) -> dict[str, Any]:
    data = {"key": base64.b64encode(value.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "web"},
        "data": data,
        **more,
    }


def test_a_plan_sends_no_value_that_its_server_does_not_have(fleet: Fleet) -> None:
    allowed = {"metadata": {"name": "cosign", "namespace": "nidus-shared", "annotations": {"nidus.dev/allow": "a"}}}
    fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "nidus-shared"}})
    fleet.host.put({**secret("first-value"), **allowed})
    copied = {"name": "keys", "namespace": "web", "secrets": [{"from": "cosign", "to": "login"}]}
    fleet.push(FILES)
    fleet.run()
    bodies = heard(fleet.nested["a"])
    for value, action in (("first-value", "create"), ("other-value", "configure")):
        fleet.host.put({**secret(value), **allowed})
        fleet.git.commit({**FILES, "web.yaml": profile(pack("base", config_map("one")), copied)})
        plan = one(fleet).plan
        change = next(each for each in plan.changes if each.ref.name == "login") if plan else None
        assert change is not None and (change.action, change.reason) == (action, "")
        assert [each.path for each in change.fields] == (
            ["data.key"] if action == "configure" else ["data.key", "type"]
        )
        assert any(b"nidus.dev/layer" in each and b"Secret" in each for each in bodies)
        assert not any(base64.b64encode(value.encode()) in each for each in bodies)
        fleet.push({**FILES, "web.yaml": profile(pack("base", config_map("one")), copied)})
        fleet.queue.add("a")
        fleet.run()
        stored = fleet.nested["a"].get("", "Secret", "web", "login")
        assert stored and stored["data"] == secret(value)["data"], "what was merged is sent"
        bodies.clear()
